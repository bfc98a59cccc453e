# Copyright (c) group_wsss contributors. All rights reserved.
# The affinities of group_wsss.RandomWalk on any VOC-layout folder, minutes on
# two CPU cores; see the dataset file for the environment variables.
_base_ = [
    '../_base_/models/affinity_effnet-lite0.py',
    '../_base_/datasets/voc_layout_affinity.py',
    '../_base_/schedules/schedule_affinity.py', '../_base_/seg_runtime.py'
]
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(interval=50, max_keep_ckpts=1),
    # nothing in the training data is a mask
    weak_supervision=dict(type='group_wsss.WeakSupervisionHook'))
