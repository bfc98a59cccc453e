# Copyright (c) group_wsss contributors. All rights reserved.
# The frozen config with a backbone that trains, a hundred times slower than
# what follows it, and 150 iterations in place of 250: nothing can be cached.
_base_ = '../../configs/group_wsss/effnet-lite0_voc-layout.py'
max_iters = 150
model = dict(
    freeze_backbone=False,
    backbone=dict(
        _delete_=True,
        type='group_wsss.EffNetLite0',
        weights='package',
        output_stride=32,
        norm_eval=True),
    neck=dict(coattention=dict(whitening=dict(momentum=0.05))))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'backbone.': dict(lr_mult=0.01)}))
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
