# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 2 on VOC 2012: mmseg's DeepLabV3+, which is its DeepLabV3 with another
# decode head.
_base_ = '../deeplabv3/deeplabv3_r50-d8_4xb4-20k_voc12-pseudo-512x512.py'
model = dict(
    decode_head=dict(
        type='DepthwiseSeparableASPPHead', c1_in_channels=256, c1_channels=48))
