# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 2 on the toy set, from scratch, about a minute on two cores.
_base_ = [
    '../_base_/models/deeplabv3_tiny.py',
    '../_base_/datasets/toy_pseudo_seg.py', '../_base_/seg_runtime.py',
    '../_base_/schedules/schedule_cpu.py'
]
crop_size = (96, 96)
data_preprocessor = dict(size=crop_size)
model = dict(data_preprocessor=data_preprocessor)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=30, by_epoch=False),
    dict(
        type='PolyLR',
        eta_min=1e-5,
        power=0.9,
        begin=30,
        end=300,
        by_epoch=False)
]
train_cfg = dict(max_iters=300, val_interval=300)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=100, max_keep_ckpts=1))
