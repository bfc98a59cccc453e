# Copyright (c) group_wsss contributors. All rights reserved.
# DeepLabV3 of mmseg with the co-attention graph as its neck: the one change.
# Groups are two neighbours of a batch while training; with self edges a
# single test image still passes through the graph.
_base_ = '../deeplabv3/deeplabv3_r50-d8_4xb4-20k_voc12-pseudo-512x512.py'
model = dict(
    neck=dict(
        type='group_wsss.CoAttentionGNN',
        in_channels=2048,
        channels=256,
        group_size=2,
        self_edge=True,
        coattention=dict(normalize=True, scale=10.0)))
