# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 2 on VOC 2012: mmseg's Segmenter on ViT-S/16, its learning rate
# included, with `avg_non_ignore=True` and the folder of pseudo labels.
_base_ = [
    '../_base_/datasets/voc12_pseudo_seg.py', '../_base_/seg_runtime.py',
    '../_base_/schedules/schedule_20k.py'
]
checkpoint = ('https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/'
              'segmenter/vit_small_p16_384_20220308-410f6037.pth')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512)),
    pretrained=checkpoint,
    backbone=dict(
        type='VisionTransformer',
        img_size=(512, 512),
        patch_size=16,
        in_channels=3,
        embed_dims=384,
        num_layers=12,
        num_heads=6,
        drop_path_rate=0.1,
        attn_drop_rate=0.0,
        drop_rate=0.0,
        final_norm=True,
        norm_cfg=dict(type='LN', eps=1e-6, requires_grad=True),
        with_cls_token=True,
        interpolate_mode='bicubic'),
    decode_head=dict(
        type='SegmenterMaskTransformerHead',
        in_channels=384,
        channels=384,
        num_classes=21,
        num_layers=2,
        num_heads=6,
        embed_dims=384,
        dropout_ratio=0.0,
        loss_decode=dict(
            type='CrossEntropyLoss',
            use_sigmoid=False,
            loss_weight=1.0,
            avg_non_ignore=True)),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(480, 480)))
optimizer = dict(lr=0.001, weight_decay=0.0)
optim_wrapper = dict(optimizer=optimizer)
