# Copyright (c) group_wsss contributors. All rights reserved.
"""Refusals of tools, a dump with all that belongs to it, and weights."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.structures import DumpWriter, ScoreMap, encode_index_png

STAGE1 = Path(__file__).parents[1] / 'configs' / 'tiny_group_cam.py'


@pytest.fixture
def refuse(call_tool, capsys):
    """Run a tool on wrong input; the one line that it ends with."""

    def call(name, *args):
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            call_tool(name, *args)
        assert caught.value.code == 2
        err = capsys.readouterr().err
        lines = [line for line in err.splitlines() if 'error: ' in line]
        assert len(lines) == 1 and 'Traceback' not in err, err
        return lines[0]

    return call


def make_dump(root, count, ids='{}', shape=(20, 24), **manifest):
    """A dump with scores of the classes cat and sea lion, photos and masks."""
    rng = np.random.default_rng(0)
    writer = DumpWriter(str(root / 'dump'), ['cat', 'sea lion'])
    for i in range(count):
        name = ids.format(i)
        score_map = ScoreMap(name, shape, [0, 1], rng.random((2, 5, 6)))
        score_map.save(f'{writer.staging}/scores/{name}.npz')
        writer.write(name, ThresholdLabeler(.6)(score_map))
        for folder, suffix in (('photos', 'png'), ('masks', 'png')):
            path = root / folder / f'{name}.{suffix}'
            path.parent.mkdir(parents=True, exist_ok=True)
            if folder == 'masks':
                path.write_bytes(
                    encode_index_png(rng.choice(3, shape).astype(np.uint8)))
            else:
                pixels = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(path)
    writer.finish(
        labeler=dict(type='ThresholdLabeler', bg_threshold=.6), **manifest)
    return root / 'dump'


def save_weights(config, path, strong=False, **meta):
    """Random weights of a config; strong ones give class maps."""
    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        net = MODELS.build(cfg.model)
    if strong:
        torch.nn.init.normal_(net.head.classifier.weight)
    torch.save(dict(state_dict=net.state_dict(), meta=meta), path)
    return path


def files_of(folder, pattern='*'):
    """Bytes of the files below a folder, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob(pattern) if path.is_file()
    }
