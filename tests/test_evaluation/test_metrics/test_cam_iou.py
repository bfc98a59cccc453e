# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
import torch

from group_wsss.evaluation import class_scores, confusion_matrix
from group_wsss.evaluation.metrics import CAMIoU
from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.registry import METRICS
from group_wsss.structures import ScoreMap, encode_index_png
from group_wsss.utils.errors import InputError

CLASSES = ('a', 'b', 'c', 'd')
THRESHOLDS = [.1, .3, .5, .7]


def _write(folder, img_id, mask):
    path = folder / f'{img_id}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_index_png(np.asarray(mask, np.uint8)))


@pytest.fixture
def case(tmp_path):
    """Five images; class d is in no mask, and in one prediction."""
    rng = np.random.default_rng(0)
    samples, masks = [], {}
    for i in range(5):
        shape = (6 + i, 7)
        img_id = f'sub/{i}'
        ids = [0, 1] if i < 3 else [2, 3] if i == 3 else []
        values = [0, 255] + [c + 1 for c in ids if c < 3]
        mask = rng.choice(np.array(values, np.uint8), shape)
        masks[img_id] = mask
        _write(tmp_path, img_id, mask)
        samples.append(
            dict(
                img_id=img_id,
                ori_shape=shape,
                class_ids=torch.tensor(ids, dtype=torch.long),
                class_maps=torch.from_numpy(
                    rng.random((len(ids), *shape)).astype(np.float32))))
    return str(tmp_path), samples, masks


def _mean_iou(samples, masks, threshold, min_images=0):
    """By the labels of ``ThresholdLabeler``."""
    confusions = [
        confusion_matrix(
            ThresholdLabeler(threshold)(ScoreMap.from_sample(sample)),
            masks[sample['img_id']], 5) for sample in samples
    ]
    images = sum(one.any(axis=1) for one in confusions)
    iou = 100 * class_scores(sum(confusions))['iou']
    return np.nanmean(iou[images >= min_images])


def _metric(ann_dir, **kwargs):
    metric = CAMIoU(
        ann_dir, thresholds=kwargs.pop('thresholds', THRESHOLDS), **kwargs)
    metric.dataset_meta = dict(classes=CLASSES)
    return metric


@pytest.mark.parametrize('batch', (1, 2, 5))
def test_against_labels(batch, case):
    ann_dir, samples, masks = case
    metric = _metric(ann_dir, bg_threshold=.35, min_images=3)
    for start in range(0, 5, batch):
        metric.process(None, samples[start:start + batch])
    got = metric.evaluate(5)
    curve = {t: _mean_iou(samples, masks, t) for t in THRESHOLDS + [.35]}
    best = max(curve, key=curve.get)
    assert got['cam/mIoU'] == pytest.approx(curve[.35])
    assert got['cam/best_mIoU'] == pytest.approx(curve[best])
    assert got['cam/best_threshold'] == best
    assert got['cam/mIoU_min3'] == pytest.approx(
        _mean_iou(samples, masks, .35, 3))


def test_repeated_samples_count_once(case):
    ann_dir, samples, masks = case
    metric = _metric(ann_dir, bg_threshold=.5)
    metric.process(None, samples + samples[:2])
    assert metric.evaluate(7)['cam/mIoU'] == pytest.approx(
        _mean_iou(samples, masks, .5))


def test_default_sweep_holds_its_figures(case):
    ann_dir, samples, _ = case
    metric = _metric(ann_dir, thresholds=None)
    assert len(metric.thresholds) == 96
    metric.process(None, samples)
    assert set(metric.evaluate(5)) == {
        'cam/mIoU', 'cam/best_mIoU', 'cam/best_threshold'
    }


def test_absent_classes_are_left_out_and_named(case, monkeypatch):
    ann_dir, samples, masks = case
    texts = []
    monkeypatch.setattr('group_wsss.evaluation.metrics.cam_iou.print_log',
                        lambda text, **kwargs: texts.append(text))
    metric = _metric(ann_dir, bg_threshold=.5)
    metric.process(None, samples[:3])
    got = metric.evaluate(3)['cam/mIoU']
    assert got == pytest.approx(_mean_iou(samples[:3], masks, .5))
    assert '2 classes (-) occur neither' in texts[0]
    rows = {line.split()[0]: line.split() for line in texts[0].splitlines()}
    assert rows['c'][1] == '-' and rows['a'][3] == '3'
    assert float(rows['mean'][1]) == pytest.approx(got, abs=.01)


def test_bad_masks_are_named(case, tmp_path):
    ann_dir, samples, _ = case
    metric = _metric(ann_dir)
    for mask, words in ((np.zeros(
        (7, 6)), r': \(7, 6\).*image.*6, 7'), (np.full(
            (6, 7), 5), ': value 5'), (None, ': no such')):
        (tmp_path / 'sub/0.png').unlink()
        if mask is not None:
            _write(tmp_path, 'sub/0', mask)
        with pytest.raises(InputError, match='0.png' + words):
            metric.process(None, samples[:1])
    samples[1]['class_ids'] = torch.tensor([0, 4])
    with pytest.raises(InputError, match='class id 4 with 4 classes'):
        metric.process(None, samples[1:2])


def test_registered_and_needs_classes(tmp_path):
    metric = METRICS.build(
        dict(type='group_wsss.CAMIoU', ann_dir=str(tmp_path)))
    with pytest.raises(InputError, match='num_classes'):
        metric.process(None, [])
    metric = CAMIoU(str(tmp_path), num_classes=3)
    assert metric.class_names == ('background', 'class 1', 'class 2')
    metric.dataset_meta = dict(classes=CLASSES)
    assert metric.class_names == ('background', 'class 1', 'class 2')
    metric.dataset_meta = dict(classes=CLASSES[:2])
    assert metric.class_names == ('background', 'a', 'b')
