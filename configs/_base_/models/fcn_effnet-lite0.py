# Copyright (c) group_wsss contributors. All rights reserved.
# A classifier of pixels, 1x1 convolutions alone, on EfficientNet-Lite0, whose
# ImageNet weights are frozen: so few parameters do not learn the mistakes of
# noisy labels by heart. Levels of stride 8, 16 and 32 meet on the grid of
# stride 8. It learns from soft labels which of the classes of an image a
# pixel shows; its tags are known.
model = dict(
    type='group_wsss.WeakEncoderDecoder',
    head_loss=False,
    restrict_to_tags=True,
    temperature=0.1,
    freeze_backbone=True,
    regularizers=[dict(type='group_wsss.CollisionCrossEntropy')],
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
        type='FCNHead',
        in_channels=(40, 112, 320),
        in_index=(0, 1, 2),
        input_transform='resize_concat',
        channels=128,
        num_convs=1,
        kernel_size=1,
        concat_input=False,
        dropout_ratio=0.,
        num_classes=21,
        # batch norm would make an image depend on the tags of others in
        # its batch: twelve points lost
        norm_cfg=None,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
