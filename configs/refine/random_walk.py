# Copyright (c) group_wsss contributors. All rights reserved.
# Random walk with affinities learnt from confident seeds.
# AFFINITY: the checkpoint of configs/affinity/affinity_effnet-lite0_*.py
checkpoint = '{{$AFFINITY:work_dirs/affinity/iter_150.pth}}'
config = '{{ fileDirname }}/../affinity/affinity_effnet-lite0_voc-layout.py'
refiners = [
    dict(
        type='group_wsss.RandomWalk',
        config=config,
        checkpoint=checkpoint,
        bg_threshold='otsu')
]
# maps that have walked lie close together: their scores tell the threshold
labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold='otsu')
