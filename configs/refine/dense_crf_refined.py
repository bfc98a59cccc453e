# Copyright (c) group_wsss contributors. All rights reserved.
# A CRF on scores that are refined already, and equal with background at 0.5.
# Those of a walk are all close to that: their argmax is what counts.
_base_ = ['dense_crf.py']
refiners = [
    dict(
        type='group_wsss.DenseCRF',
        bg_threshold=0.5,
        unary='label',
        gt_prob=0.7,
        bilateral_sxy=50.0,
        bilateral_srgb=5.0)
]
