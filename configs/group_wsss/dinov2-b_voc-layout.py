# Copyright (c) group_wsss contributors. All rights reserved.
# dinov2-s_voc-layout.py with DINOv2-B
_base_ = './dinov2-s_voc-layout.py'
checkpoint = '{{$DINO_WEIGHTS:dinov2_vitb14_reg4_pretrain.pth}}'
model = dict(
    backbone=dict(
        backbone=dict(
            model_name='vit_base_patch14_reg4_dinov2',
            init_cfg=dict(checkpoint=checkpoint))),
    neck=dict(in_channels=768),
    head=dict(in_channels=768))
