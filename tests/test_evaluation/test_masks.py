# Copyright (c) group_wsss contributors. All rights reserved.
"""Masks that show no class, or other numbers, judge nothing."""
from unittest.mock import patch

import numpy as np
import pytest
import torch

from group_wsss.contrib.analysis import analyze_dump
from group_wsss.evaluation import evaluate_folder, open_dump
from group_wsss.evaluation.metrics import (CAMIoU, CheckedIoUMetric,
                                           checked_iou_metric)
from group_wsss.structures import encode_index_png
from group_wsss.utils.errors import InputError

SHAPE = (4, 5)


def write(folder, mask):
    folder.mkdir(exist_ok=True)
    (folder / 'x.png').write_bytes(encode_index_png(mask))
    return str(folder)


def by_folder(root, masks):
    pred = write(root / 'pred', np.zeros(SHAPE, np.uint8))
    return evaluate_folder(pred, masks, ['a', 'b'])['ignored']


def by_analysis(root, masks):
    dump = open_dump(write(root / 'pred', np.zeros(SHAPE, np.uint8)), '2')
    notes = analyze_dump(dump, masks)['dump']['notes']
    return notes[-1] if len(notes) > len(dump.notes) else None


def by_class_maps(root, masks):
    metric = CAMIoU(masks, num_classes=3)
    metric.process({}, [
        dict(
            img_id='x',
            ori_shape=SHAPE,
            class_ids=np.array([0]),
            class_maps=np.zeros((1, *SHAPE), np.float32))
    ])
    metric.evaluate(1)
    return None


def by_validation(root, masks):
    path = f'{masks}/x.png'
    mask = torch.from_numpy(by_validation.mask[None].astype(np.int64))
    metric = CheckedIoUMetric()
    metric.dataset_meta = dict(classes=('background', 'a', 'b'))
    metric.process({}, [
        dict(
            seg_map_path=path,
            gt_sem_seg=dict(data=mask),
            pred_sem_seg=dict(data=torch.zeros_like(mask)))
    ])
    with patch.object(checked_iou_metric, 'print_log') as say:
        metric.evaluate(1)
    return say.call_args and say.call_args[0][0]


@pytest.mark.parametrize(
    'judge', [by_folder, by_analysis, by_class_maps, by_validation])
@pytest.mark.parametrize('values, message', [
    ((0, 255), r'/masks: no mask shows a class but background, 20.0 % of the '
     r'mask pixels are 255 .*\(0/255 masks must be 0/1\)'),
    ((255, 255), '/masks: no mask shows a class .* 100.0 % of the mask'),
    ((0, 0), '/masks: no mask shows a class but background, 0.0 % of'),
    ((0, 3), 'masks/x.png: value 3 is neither one of 3 classes nor 255'),
])
def test_refused(judge, values, message, tmp_path):
    mask = np.full(SHAPE, values[0], np.uint8)
    mask[0, 1:] = values[1]
    by_validation.mask = mask
    with pytest.raises(InputError, match=message):
        judge(tmp_path, write(tmp_path / 'masks', mask))


@pytest.mark.parametrize('judge', [by_folder, by_analysis, by_validation])
@pytest.mark.parametrize('count, told', [(0, ''), (2, '10.0 % of the mask')])
def test_share_of_ignored_pixels(judge, count, told, tmp_path):
    mask = np.ones(SHAPE, np.uint8)
    mask.flat[:count] = 255
    by_validation.mask = mask
    note = judge(tmp_path, write(tmp_path / 'masks', mask)) or ''
    assert note.startswith(told) and bool(note) == bool(told)


def test_figures_are_those_of_mmseg():
    from mmseg.evaluation import IoUMetric
    rng = np.random.default_rng(0)
    samples = [
        dict(
            seg_map_path='m/x.png',
            gt_sem_seg=dict(
                data=torch.from_numpy(rng.choice([0, 1, 2, 255], (1, 6, 7)))),
            pred_sem_seg=dict(
                data=torch.from_numpy(rng.integers(0, 3, (1, 6, 7)))))
        for _ in range(3)
    ]
    found = []
    for kind in (IoUMetric, CheckedIoUMetric):
        metric = kind(iou_metrics=['mIoU', 'mFscore'])
        metric.dataset_meta = dict(classes=('background', 'a', 'b'))
        for sample in samples:
            metric.process({}, [sample])
        found.append(metric.evaluate(3))
    assert found[0] == found[1]
