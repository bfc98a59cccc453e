# Copyright (c) group_wsss contributors. All rights reserved.
# Frozen DINOv2-S with registers, stride 14; self-supervised weights (D).
# DINO_WEIGHTS: dinov2_vits14_reg4_pretrain.pth as its authors give it out, or
# model.safetensors as timm does. Nothing is downloaded: docs/dino.md.

checkpoint = '{{$DINO_WEIGHTS:dinov2_vits14_reg4_pretrain.pth}}'
model = dict(
    type='group_wsss.GroupCAM',
    freeze_backbone=True,
    data_preprocessor=dict(
        type='group_wsss.GroupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    # frozen weights: the same pixels give the same maps
    backbone=dict(
        type='group_wsss.FeatureCache',
        # 1,300 images and their mirror images
        max_bytes=4 * 2**30,
        backbone=dict(
            type='group_wsss.TIMMTransformer',
            model_name='vit_small_patch14_reg4_dinov2',
            init_cfg=dict(type='Pretrained', checkpoint=checkpoint))),
    neck=dict(
        type='group_wsss.CoAttentionGNN',
        in_channels=384,
        num_steps=1,
        update='mix',
        gamma_init=0.8,
        dropout=None,
        coattention=dict(
            # chosen for EfficientNet-Lite0, as gamma and the rates are
            key='contrast',
            key_channels=64,
            normalize=True,
            scale=15.0,
            softmax='group',
            gate=False)),
    head=dict(
        type='group_wsss.GroupCAMHead',
        in_channels=384,
        num_classes=20,
        bias=False,
        cam_weight=1.0,
        graph_weight=1.0,
        init_cfg=dict(type='Constant', layer='Conv2d', val=0.0)))
