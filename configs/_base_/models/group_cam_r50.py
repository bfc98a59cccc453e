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
        type='group_wsss.GroupCAMHead', in_channels=2048, num_classes=20))
