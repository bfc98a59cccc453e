# Copyright (c) group_wsss contributors. All rights reserved.
# dinov2-s_voc-layout.py with DINOv3-B
_base_ = './dinov2-s_voc-layout.py'
checkpoint = '{{$DINO_WEIGHTS:dinov3_vitb16_pretrain_lvd1689m.pth}}'
model = dict(
    backbone=dict(
        backbone=dict(
            model_name='vit_base_patch16_dinov3',
            init_cfg=dict(checkpoint=checkpoint))),
    neck=dict(in_channels=768),
    head=dict(in_channels=768))
