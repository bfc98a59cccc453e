# Copyright (c) group_wsss contributors. All rights reserved.
"""Files of words, without a text tower."""
import numpy as np
import pytest

from group_wsss.contrib.words import TextFeatures
from group_wsss.contrib.words.clip_weights import fingerprint


@pytest.fixture
def write_words(tmp_path, monkeypatch):
    """Write a file of features as rows, for the names and one more word."""
    path = str(tmp_path / 'text.npz')
    monkeypatch.setenv('TEXT_FEATURES', path)

    def write(names, rows, proj):
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        about = dict(
            classes=names,
            words=[[name] for name in names],
            background=['noise'],
            templates=['all {}'],
            model=dict(name='tiny', fingerprint=fingerprint(proj)))
        TextFeatures(rows.astype(np.float32), about).save(path)
        return path

    return write
