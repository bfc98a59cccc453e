# Copyright (c) group_wsss contributors. All rights reserved.
# dinov2-s_voc-layout.py with DINOv3-S
_base_ = './dinov2-s_voc-layout.py'
checkpoint = '{{$DINO_WEIGHTS:dinov3_vits16_pretrain_lvd1689m.pth}}'
model = dict(
    backbone=dict(
        backbone=dict(
            model_name='vit_small_patch16_dinov3',
            init_cfg=dict(checkpoint=checkpoint))),
    neck=dict(in_channels=384),
    head=dict(in_channels=384))
