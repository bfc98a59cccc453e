# Copyright (c) group_wsss contributors. All rights reserved.
# The head of SegFormer on a frozen EfficientNet-Lite0: levels of stride 8, 16
# and 32 meet on the grid of stride 8. Of few labels, partly wrong, few
# parameters learn more than many; and as the same pixels give the same maps,
# the backbone runs once an image.
model = dict(
    type='group_wsss.WeakEncoderDecoder',
    freeze_backbone=True,
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        # what the weights were trained with
        mean=[127., 127., 127.],
        std=[128., 128., 128.],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255),
    pretrained=None,
    backbone=dict(
        type='group_wsss.FeatureCache',
        # an image of 384 x 384 and its mirror image take 1.6 MB
        max_bytes=4 * 2**30,
        backbone=dict(
            type='group_wsss.EffNetLite0',
            weights='package',
            output_stride=32,
            features_only=True,
            out_indices=(2, 3, 4))),
    decode_head=dict(
        type='SegformerHead',
        in_channels=[40, 112, 320],
        in_index=[0, 1, 2],
        channels=128,
        dropout_ratio=0.1,
        num_classes=21,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
