# Copyright (c) group_wsss contributors. All rights reserved.
# voc.py with the paper's graph: groups of four, three rounds of learned
# co-attention, ConvGRU, graph dropout. On frozen features it is below a plain
# classifier (docs/benchmarks.md). What differs from the paper, as far as that
# is known (docs/method.md): nodes of 64 channels behind a 1x1 convolution that
# start as the identity, cosines times 10, the mean of the messages for their
# sum.
_base_ = [
    '../_base_/models/group_cam_vgg16-os8.py',
    '../_base_/datasets/voc12_cls.py',
    '../_base_/schedules/schedule_15e_sgd.py', '../_base_/cls_runtime.py'
]
group_size = 4
model = dict(
    neck=dict(
        channels=64,
        num_steps=3,
        update='gru',
        aggregation='mean',
        coattention=dict(_delete_=True, normalize=True, scale=10.0),
        dropout=dict(
            _delete_=True,
            type='group_wsss.GraphDropout',
            drop_prob=0.8,
            drop_threshold=0.7)))
