# Copyright (c) group_wsss contributors. All rights reserved.
# ResNet-50 with output stride 16

checkpoint = ('https://download.openmmlab.com/mmclassification/v0/resnet/'
              'resnet50_8xb32_in1k_20210831-ea4938fc.pth')

model = dict(
    type='group_wsss.GroupCAM',
    data_preprocessor=dict(
        type='group_wsss.GroupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=50,
        num_stages=4,
        out_indices=(3, ),
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        # small batches of groups: keep the statistics of ImageNet
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(
            type='Pretrained', checkpoint=checkpoint, prefix='backbone.')),
    neck=dict(
        type='group_wsss.CoAttentionGNN',
        in_channels=2048,
        # wider nodes cost more and did not help (docs/benchmarks.md)
        channels=64,
        num_steps=3,
        coattention=dict(normalize=True, scale=10.0)),
    head=dict(
        type='group_wsss.GroupCAMHead', in_channels=2048, num_classes=20))
