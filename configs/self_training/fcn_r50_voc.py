# Copyright (c) group_wsss contributors. All rights reserved.
# The network of group_wsss.Segmentor on VOC 2012: six passes over its 10,582
# images. Built and stepped in tests, not trained here.
_base_ = [
    '../_base_/models/fcn_r50.py', '../_base_/datasets/voc_layout_soft_seg.py',
    '../_base_/seg_runtime.py', '../_base_/schedules/schedule_self_training.py'
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))

train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    dataset=dict(data_root='{{$DATA_ROOT:data/VOCdevkit/VOC2012}}'))
train_cfg = dict(max_iters=4000)
default_hooks = dict(checkpoint=dict(interval=500, max_keep_ckpts=1))
