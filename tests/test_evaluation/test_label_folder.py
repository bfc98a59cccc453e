# Copyright (c) group_wsss contributors. All rights reserved.
import json
from pathlib import Path

import numpy as np
import pytest

from group_wsss.evaluation import (class_names, class_scores, confusion_matrix,
                                   evaluate_folder, format_table, read_id_list)
from group_wsss.structures import encode_index_png
from group_wsss.utils.errors import InputError

CLASSES = ['a', 'b', 'c']


def _write(folder, img_id, label):
    path = folder / f'{img_id}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_index_png(np.asarray(label, np.uint8)))


@pytest.fixture
def folders(tmp_path):
    """Three images of different size; class c occurs nowhere."""
    rng = np.random.default_rng(0)
    data = {}
    for i, img_id in enumerate(('x', 'y', 'sub/z')):
        shape = (5 + i, 8 - i)
        pred = rng.choice(np.array([0, 1, 2, 255], np.uint8), shape)
        mask = rng.choice(np.array([0, 1, 2, 255], np.uint8), shape)
        if img_id == 'y':
            mask[mask == 2] = 0
        data[img_id] = (pred, mask)
        _write(tmp_path / 'pred', img_id, pred)
        _write(tmp_path / 'mask', img_id, mask)
    _write(tmp_path / 'mask', 'spare', mask)
    # of an unfinished dump
    _write(tmp_path / 'pred' / '.unfinished', 'w', pred)
    (tmp_path / 'pred' / '.part-r0-p1-0').write_text('half')
    return str(tmp_path / 'pred'), str(tmp_path / 'mask'), data


def _mean_iou(data, how):
    confusion = sum(confusion_matrix(*pair, 4) for pair in data.values())
    return 100 * np.nanmean(class_scores(confusion, how)['iou'])


@pytest.mark.parametrize('chunk', (1, 2, 32))
def test_figures(folders, chunk, monkeypatch):
    pred_dir, mask_dir, data = folders
    monkeypatch.setattr('group_wsss.evaluation.label_folder._CHUNK', chunk)
    result = evaluate_folder(pred_dir, mask_dir, CLASSES)
    assert result['mIoU'] == pytest.approx(_mean_iou(data, 'wrong'))
    assert result['mIoU_known'] == pytest.approx(_mean_iou(data, 'ignored'))
    assert result['mIoU_unknown_as_background'] == pytest.approx(
        _mean_iou(data, 'background'))
    assert result['images'] == 3
    assert result['masks_without_prediction'] == 1
    counted = sum((mask != 255).sum() for _, mask in data.values())
    unknown = sum(
        ((pred == 255) & (mask != 255)).sum() for pred, mask in data.values())
    assert result['unknown_share'] == pytest.approx(100 * unknown / counted)
    per_class = result['per_class']
    assert list(per_class) == ['background', *CLASSES]
    assert np.isnan(per_class['c']['iou']) and per_class['c']['images'] == 0
    assert per_class['b']['images'] == 2 and per_class['a']['images'] == 3


def test_processes_and_lists(folders, threads):
    pred_dir, mask_dir, data = folders
    one = evaluate_folder(pred_dir, mask_dir, CLASSES)
    two = evaluate_folder(pred_dir, mask_dir, CLASSES, nproc=2)
    assert one['confusion'] == two['confusion']
    part = evaluate_folder(pred_dir, mask_dir, CLASSES, ids=['sub/z'])
    assert part['mIoU'] == pytest.approx(
        _mean_iou({'z': data['sub/z']}, 'wrong'))
    assert part['masks_without_prediction'] is None


def test_missing_files_are_counted(folders, tmp_path):
    pred_dir, mask_dir, _ = folders
    with pytest.raises(InputError, match='pred: 2 of 3 images.*spare, no'):
        evaluate_folder(pred_dir, mask_dir, CLASSES, ids=['x', 'spare', 'no'])
    (tmp_path / 'mask' / 'y.png').unlink()
    with pytest.raises(InputError, match='mask: 1 of 3 images.*: y'):
        evaluate_folder(pred_dir, mask_dir, CLASSES)
    with pytest.raises(InputError, match='nowhere'):
        evaluate_folder(str(tmp_path / 'nowhere'), mask_dir, CLASSES)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='no label PNG'):
        evaluate_folder(str(tmp_path / 'empty'), mask_dir, CLASSES)


def test_misfits_name_the_file(folders, tmp_path):
    pred_dir, mask_dir, _ = folders
    with pytest.raises(InputError, match='value 2 .*2 classes'):
        evaluate_folder(pred_dir, mask_dir, ['a'])
    _write(tmp_path / 'pred', 'y', [[0]])
    with pytest.raises(InputError, match='y.png') as caught:
        evaluate_folder(pred_dir, mask_dir, CLASSES)
    assert '\n' not in str(caught.value)


def test_id_list(tmp_path):
    path = tmp_path / 'ids.txt'
    path.write_text('2007_000032 0 14 \n\nsub/x\n')
    assert read_id_list(str(path)) == ['2007_000032', 'sub/x']
    for text, match in (('a\nb\na 3\n', r'ids.txt:3: .* line 1'),
                        ('a\n../b\n', r'ids.txt:2: '), ('\n', 'empty')):
        path.write_text(text)
        with pytest.raises(InputError, match=match):
            read_id_list(str(path))
    with pytest.raises(InputError, match='none.txt'):
        read_id_list(str(tmp_path / 'none.txt'))


def test_class_names(tmp_path):
    assert class_names('voc')[14] == 'person' and len(class_names('voc')) == 20
    assert class_names('2') == ('class 1', 'class 2')
    (tmp_path / 'names').write_text('background\ncat\n\nsea lion\n')
    assert class_names(str(tmp_path / 'names')) == ('cat', 'sea lion')
    for bad in ('0', '255', str(tmp_path / 'none')):
        with pytest.raises(InputError):
            class_names(bad)
    with pytest.raises(InputError, match='cat,dog: .* one a line'):
        class_names('cat,dog')


def test_table():
    text = format_table(('class', 'IoU', 'n'),
                        [('a', 12.5, 3), ('long name', float('nan'), 10)])
    assert text.splitlines() == [
        'class        IoU   n', '---------  -----  --', 'a          12.50   3',
        'long name      -  10'
    ]


def test_a_dump_is_compared_by_its_own_list(folders):
    pred_dir, mask_dir, _ = folders
    Path(pred_dir, 'manifest.json').write_text(
        json.dumps(dict(classes=['background', *CLASSES])))
    Path(pred_dir, 'ids.txt').write_text('x\nsub/z\n')
    assert evaluate_folder(pred_dir, mask_dir, CLASSES)['images'] == 2
