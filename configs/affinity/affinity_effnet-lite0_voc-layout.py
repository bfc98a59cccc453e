# Copyright (c) group_wsss contributors. All rights reserved.
# The affinities of group_wsss.RandomWalk on any VOC-layout folder, minutes on
# two CPU cores; see the dataset file for the environment variables.
_base_ = [
    '../_base_/models/affinity_effnet-lite0.py',
    '../_base_/datasets/voc_layout_affinity.py',
    '../_base_/schedules/schedule_affinity.py', '../_base_/seg_runtime.py'
]
custom_imports = dict(imports=['group_wsss'], allow_failed_imports=False)
