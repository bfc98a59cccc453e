# Copyright (c) group_wsss contributors. All rights reserved.
# AffinityNet on ResNet-50 with output stride 16: levels of stride 4, 8, 16
# and 16 meet on the grid of stride 8.
checkpoint = ('https://download.openmmlab.com/mmclassification/v0/resnet/'
              'resnet50_8xb32_in1k_20210831-ea4938fc.pth')
model = dict(
    type='group_wsss.AffinityNet',
    freeze_backbone=True,
    data_preprocessor=dict(
        type='mmseg.SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size_divisor=1),
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(
            type='Pretrained', checkpoint=checkpoint, prefix='backbone.')),
    head=dict(
        type='group_wsss.AffinityHead',
        in_channels=(256, 512, 1024, 2048),
        in_index=(0, 1, 2, 3),
        grid_index=1,
        use_image=False,
        mid_channels=128,
        channels=256,
        radius=5))
