# Copyright (c) group_wsss contributors. All rights reserved.
# Swin-T, stride 32

checkpoint = (
    'https://download.openmmlab.com/mmclassification/v0/swin-transformer/'
    'swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth')

model = dict(
    type='group_wsss.GroupCAM',
    data_preprocessor=dict(
        type='group_wsss.GroupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='mmpretrain.SwinTransformer',
        arch='tiny',
        img_size=224,
        out_indices=(3, ),
        drop_path_rate=0.2,
        # any image size
        pad_small_map=True,
        init_cfg=dict(
            type='Pretrained', checkpoint=checkpoint, prefix='backbone.')),
    neck=dict(
        type='group_wsss.CoAttentionGNN',
        in_channels=768,
        num_steps=1,
        update='mix',
        gamma_init=0.5,
        dropout=None,
        coattention=dict(
            key='whitened',
            key_channels=64,
            # the backbone trains: what it gave long ago counts less
            whitening=dict(momentum=0.05),
            normalize=True,
            scale=25.0,
            softmax='group',
            gate=False)),
    head=dict(type='group_wsss.GroupCAMHead', in_channels=768, num_classes=20))
