# Copyright (c) group_wsss contributors. All rights reserved.
"""The notebook runs, from tags to predictions, with few iterations."""
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_tutorial(tmp_path, monkeypatch, capsys):
    pytest.importorskip('skimage')
    monkeypatch.setenv('MPLBACKEND', 'agg')
    monkeypatch.setenv('TUTORIAL_DIR', str(tmp_path))
    monkeypatch.setenv('TUTORIAL_FEW', '1')
    monkeypatch.chdir(ROOT / 'docs')
    text = (ROOT / 'docs' / 'tutorial.ipynb').read_text()
    scope = {}
    for cell in json.loads(text)['cells']:
        if cell['cell_type'] == 'code':
            exec(''.join(cell['source']), scope)
            assert cell['outputs'] or 'import' in cell['source'][0]
    assert scope['result']['label'].max() == 8  # the cat
    assert len(scope['found']) == 5
    # what is shown was not made with the few iterations of this test
    assert '[4/4]' not in text and str(ROOT) not in text
