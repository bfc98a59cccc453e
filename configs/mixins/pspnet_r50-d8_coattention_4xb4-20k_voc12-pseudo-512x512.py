# Copyright (c) group_wsss contributors. All rights reserved.
# PSPNet of mmseg with the co-attention graph as its neck.
# Groups are two neighbours of a batch while training; with self edges a
# single test image still passes through the graph.
_base_ = '../deeplabv3/deeplabv3_r50-d8_4xb4-20k_voc12-pseudo-512x512.py'
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    neck=dict(
        type='group_wsss.CoAttentionGNN',
        in_channels=2048,
        channels=256,
        group_size=2,
        self_edge=True,
        coattention=dict(normalize=True, scale=10.0)),
    decode_head=dict(
        _delete_=True,
        type='PSPHead',
        in_channels=2048,
        in_index=3,
        channels=512,
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
        num_classes=21,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss',
            use_sigmoid=False,
            loss_weight=1.0,
            avg_non_ignore=True)))
