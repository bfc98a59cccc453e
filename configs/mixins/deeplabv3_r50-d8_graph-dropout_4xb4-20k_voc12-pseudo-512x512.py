# Copyright (c) group_wsss contributors. All rights reserved.
# DeepLabV3 of mmseg with graph dropout as its neck: the one changed line.
_base_ = '../deeplabv3/deeplabv3_r50-d8_4xb4-20k_voc12-pseudo-512x512.py'
model = dict(neck=dict(type='group_wsss.GraphDropout'))
