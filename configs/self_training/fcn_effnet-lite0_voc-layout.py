# Copyright (c) group_wsss contributors. All rights reserved.
# The network of group_wsss.Segmentor on any VOC-layout folder, minutes on two
# CPU cores; see the dataset file for the environment variables.
_base_ = [
    '../_base_/models/fcn_effnet-lite0.py',
    '../_base_/datasets/voc_layout_soft_seg.py', '../_base_/seg_runtime.py',
    '../_base_/schedules/schedule_self_training.py'
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))
default_hooks = dict(
    logger=dict(interval=25), checkpoint=dict(interval=50, max_keep_ckpts=1))
