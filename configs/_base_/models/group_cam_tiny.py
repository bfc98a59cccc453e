# Copyright (c) group_wsss contributors. All rights reserved.
# A narrow ResNet-18 with output stride 8, from scratch: small enough for CPUs

model = dict(
    type='group_wsss.GroupCAM',
    data_preprocessor=dict(
        type='group_wsss.GroupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=18,
        stem_channels=32,
        base_channels=32,
        num_stages=3,
        out_indices=(2, ),
        strides=(1, 2, 1),
        dilations=(1, 1, 1)),
    neck=dict(
        type='group_wsss.CoAttentionGNN',
        in_channels=128,
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
    head=dict(type='group_wsss.GroupCAMHead', in_channels=128, num_classes=20))
