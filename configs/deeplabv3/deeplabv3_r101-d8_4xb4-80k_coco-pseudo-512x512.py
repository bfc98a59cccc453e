# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 2 on COCO, 81 classes; see the dataset file for COCO 2017.
_base_ = [
    '../_base_/models/deeplabv3_r50-d8.py',
    '../_base_/datasets/coco_pseudo_seg.py', '../_base_/seg_runtime.py',
    '../_base_/schedules/schedule_80k.py'
]
crop_size = (512, 512)
data_preprocessor = dict(size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    pretrained='open-mmlab://resnet101_v1c',
    backbone=dict(depth=101),
    decode_head=dict(num_classes=81),
    auxiliary_head=dict(num_classes=81))
