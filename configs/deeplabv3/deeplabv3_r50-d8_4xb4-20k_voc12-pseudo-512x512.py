# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 2 on VOC 2012. Any DeepLabV3 config of mmseg does as well: this one is
# its schedule with `avg_non_ignore=True` and the folder of pseudo labels.
_base_ = [
    '../_base_/models/deeplabv3_r50-d8.py',
    '../_base_/datasets/voc12_pseudo_seg.py', '../_base_/seg_runtime.py',
    '../_base_/schedules/schedule_20k.py'
]
crop_size = (512, 512)
data_preprocessor = dict(size=crop_size)
model = dict(data_preprocessor=data_preprocessor)
