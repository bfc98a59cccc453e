# Copyright (c) group_wsss contributors. All rights reserved.
# ConvNeXt-T, stride 32

checkpoint = ('https://download.openmmlab.com/mmclassification/v0/convnext/'
              'convnext-tiny_32xb128_in1k_20221207-998cf3e9.pth')

model = dict(
    type='group_wsss.GroupCAM',
    data_preprocessor=dict(
        type='group_wsss.GroupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='mmpretrain.ConvNeXt',
        arch='tiny',
        out_indices=(3, ),
        drop_path_rate=0.1,
        # a map, not a pooled vector
        gap_before_final_norm=False,
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
