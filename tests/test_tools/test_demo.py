# Copyright (c) group_wsss contributors. All rights reserved.
import json

import numpy as np
import pytest
import torch

from group_wsss.pseudo_labels import PixelAdaptive
from group_wsss.structures import read_index_png
from .conftest import STAGE1, save_weights


@pytest.fixture(autouse=True)
def settings(tiny_voc, monkeypatch):
    monkeypatch.setenv('DATA_ROOT', str(tiny_voc))


@pytest.fixture
def weights(tmp_path):
    """Weights without class names; the config has them."""
    return save_weights(STAGE1, tmp_path / 'tiny.pth', strong=True)


def test_a_folder(tiny_voc, weights, call_tool, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    photos = tiny_voc / 'JPEGImages'
    out = tmp_path / 'out'
    words = (STAGE1, weights, '--tags', 'cat, 14')
    call_tool('demo', photos, *words, '--out', out)
    printed, progress = capsys.readouterr()
    assert 'Class maps: 8/8' in progress and 'Tags' not in progress
    assert 'tiny_0: cat 0.' in printed and ', person 0.' in printed
    assert f'Written to {out}:' in printed and '(8 images)' in printed
    assert len(list(out.glob('*.png'))) == 8
    assert len(list((out / 'overlays').iterdir())) == 8
    values = np.unique(read_index_png(str(out / 'tiny_3.png')))
    assert set(values) <= {0, 8, 15} and len(values) > 1
    # partners, and what tells of them
    groups = tmp_path / 'groups'
    call_tool('demo', f'{photos}/tiny_[01].jpg', *words, '--out', groups,
              '--reference', photos, '--seed', 3, '--bg-threshold', 0.2)
    manifest = json.loads((groups / 'manifest.json').read_text())
    assert manifest['images'] == 2 and manifest['seed'] == 3
    assert manifest['labeler']['bg_threshold'] == 0.2


def test_refined_without_tags(tiny_voc, weights, call_tool, tmp_path, capsys,
                              monkeypatch):
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    monkeypatch.setattr(PixelAdaptive, 'supervision', 'D')
    steps = tmp_path / 'steps.py'
    steps.write_text(
        "refiners = [dict(type='group_wsss.PixelAdaptive', bg_threshold=0.4)]"
        "\nlabeler = dict(type='group_wsss.ThresholdLabeler', margin=0.2)\n")
    out = tmp_path / 'out'
    call_tool('demo', tiny_voc / 'JPEGImages' / 'tiny_5.jpg', STAGE1, weights,
              '--out', out, '--tag-threshold', 1, '--refine', steps,
              '--bg-threshold', 'otsu', '--keep-scores', '--classes', 'voc')
    printed, progress = capsys.readouterr()
    assert ' % unknown' in printed and 'Tags: 1/1' in progress
    manifest = json.loads((out / 'manifest.json').read_text())
    assert len(manifest['chosen_thresholds']) == 1
    assert manifest['refiners'][0]['type'] == 'group_wsss.PixelAdaptive'
    assert manifest['supervision'] == ['I', 'D']
    assert (out / 'scores' / 'tiny_5.npz').is_file()


@pytest.mark.parametrize('change, words', [
    (dict(image='text.jpg'), 'text.jpg: not an image'),
    (dict(weights='none.pth'), 'none.pth: no such checkpoint'),
    (dict(weights='other.pth'), 'other.pth: does not fit the config'),
    (dict(options=['--tags', 'persn']), "tag 'persn': did you mean 'person'"),
    (dict(options=['--tags', '20']), 'tag 20 is out of range 0..19'),
    (dict(options=['--tags', ',']), 'give a list of names or ids'),
    (dict(options=['--reference', 'empty']), 'empty: no images found'),
    (dict(options=['--bg-threshold', 'best']), "is 'best', must be in"),
    (dict(options=['--classes', 'none.txt']), 'none.txt: '),
    (dict(out='text.jpg/x'), 'text.jpg/x: cannot create the folder'),
])
def test_bad_input(tiny_voc, weights, refuse, tmp_path, monkeypatch, change,
                   words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.jpg').write_text('no image')
    torch.save(dict(state_dict=dict(x=torch.zeros(1))), 'other.pth')
    image = tiny_voc / 'JPEGImages' / 'tiny_0.jpg'
    assert words in refuse('demo', change.get('image', image), STAGE1,
                           change.get('weights', weights), '--out',
                           change.get('out', 'out'),
                           *change.get('options', []))
    assert not list(tmp_path.rglob('*.png'))
