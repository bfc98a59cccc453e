# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 2 on the toy set, with the backbone that real images use.
_base_ = [
    '../_base_/models/deeplabv3_effnet-lite0.py',
    '../_base_/datasets/toy_pseudo_seg.py', '../_base_/seg_runtime.py',
    '../_base_/schedules/schedule_cpu.py'
]
crop_size = (96, 96)
data_preprocessor = dict(size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(output_stride=8),
    decode_head=dict(num_classes=7, dilations=(1, 3, 6)),
    auxiliary_head=dict(num_classes=7))
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=200, max_keep_ckpts=1))
