# Copyright (c) group_wsss contributors. All rights reserved.
# ResNet-101 with output stride 16
_base_ = './group_cam_r50.py'

checkpoint = ('https://download.openmmlab.com/mmclassification/v0/resnet/'
              'resnet101_8xb32_in1k_20210831-539c63f8.pth')

model = dict(backbone=dict(depth=101, init_cfg=dict(checkpoint=checkpoint)))
