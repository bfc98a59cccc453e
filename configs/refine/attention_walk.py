# Copyright (c) group_wsss contributors. All rights reserved.
# A walk over positions that the frozen backbone of stage 1 finds alike.
# CHECKPOINT: of stage 1; no second network is trained.
checkpoint = '{{$CHECKPOINT:work_dirs/group_wsss/iter_250.pth}}'
config = '{{ fileDirname }}/../group_wsss/effnet-lite0_voc-layout.py'
refiners = [
    dict(
        type='group_wsss.AttentionWalk', config=config, checkpoint=checkpoint)
]
labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold='otsu')
