# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
from mmpretrain.models.utils import ClsDataPreprocessor
from mmpretrain.structures import DataSample

from group_wsss.models import GroupDataPreprocessor
from group_wsss.utils.errors import InputError

NORM = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True)


def batch(sizes):
    return dict(
        inputs=[torch.randint(0, 255, (3, h, w)) for h, w in sizes],
        data_samples=[
            DataSample().set_gt_label([i]) for i in range(len(sizes))
        ])


def test_class_ids_are_looked_at_before_they_are_moved():
    with pytest.raises(InputError, match=r'class ids \[2\] .* 0..1'):
        GroupDataPreprocessor(num_classes=2)(batch([(4, 6)] * 3))


@pytest.mark.parametrize('training', [True, False])
def test_one_size_as_in_mmpretrain(training):
    data = batch([(4, 6)] * 3)
    out = GroupDataPreprocessor(**NORM)(data, training)
    want = ClsDataPreprocessor(**NORM)(data, training)
    assert torch.equal(out['inputs'], want['inputs'])
    assert 'valid_shape' not in out['data_samples'][0]


@pytest.mark.parametrize('divisor, sizes', [(1, [(4, 6), (5, 3)]),
                                            (4, [(4, 8), (8, 4)])])
def test_sizes_kept_apart_in_eval(divisor, sizes):
    data = batch([(4, 6), (5, 3)])
    options = dict(NORM, pad_size_divisor=divisor)
    out = GroupDataPreprocessor(**options)(data)
    assert [x.shape[1:] for x in out['inputs']] == sizes
    for image, raw in zip(out['inputs'], data['inputs']):
        want = ClsDataPreprocessor(**options)(dict(inputs=[raw]))['inputs'][0]
        assert torch.equal(image, want)
    assert [s.gt_label.tolist() for s in out['data_samples']] == [[0], [1]]
    padded = [s.get('valid_shape') for s in out['data_samples']]
    assert padded == ([None] * 2 if divisor == 1 else [(4, 6), (5, 3)])
    del data['data_samples']
    assert GroupDataPreprocessor(**options)(data)['data_samples'] is None


def test_padding_is_recorded_while_training():
    out = GroupDataPreprocessor(**NORM)(batch([(4, 6), (5, 3)]), True)
    assert out['inputs'].shape == (2, 3, 5, 6)
    assert [s.valid_shape for s in out['data_samples']] == [(4, 6), (5, 3)]
    apart = GroupDataPreprocessor(
        pad_train=False, **NORM)(batch([(4, 6), (5, 3)]), True)
    assert isinstance(apart['inputs'], list)
