# Copyright (c) group_wsss contributors. All rights reserved.
# Refined scores times the opinion of a network that learnt from them.
# SEGMENTOR: the checkpoint of configs/self_training/fcn_effnet-lite0_*.py
checkpoint = '{{$SEGMENTOR:work_dirs/self_training/iter_250.pth}}'
config = '{{ fileDirname }}/../self_training/fcn_effnet-lite0_voc-layout.py'
refiners = [
    dict(
        type='group_wsss.Segmentor',
        config=config,
        checkpoint=checkpoint,
        bg_threshold='otsu')
]
labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold='otsu')
