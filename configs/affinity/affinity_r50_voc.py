# Copyright (c) group_wsss contributors. All rights reserved.
# The affinities of group_wsss.RandomWalk on VOC 2012: three passes over its
# images, as published. Built and stepped in tests, not trained here.
_base_ = [
    '../_base_/models/affinity_r50.py', '../_base_/datasets/voc12_affinity.py',
    '../_base_/schedules/schedule_affinity.py', '../_base_/seg_runtime.py'
]
train_cfg = dict(max_iters=2000)
default_hooks = dict(
    checkpoint=dict(interval=500, max_keep_ckpts=1),
    # nothing in the training data is a mask
    weak_supervision=dict(type='group_wsss.WeakSupervisionHook'))
