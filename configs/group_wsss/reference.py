# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 1 as the released code does it, choice by choice (docs/method.md). Its
# forward pass and gradients are checked against plain loops in
# tests/test_configs.py. For training on VOC take voc.py. Not copied, since
# they are accidents of its loader: partners are drawn with replacement, so
# that an image may be its own partner or come twice, and never the first and
# the last image of the list.
_base_ = [
    '../_base_/models/group_cam_vgg16-os8.py',
    '../_base_/datasets/voc12_cls.py',
    '../_base_/schedules/schedule_15e_sgd.py', '../_base_/cls_runtime.py'
]
group_size = 3
num_classes = 20
normal = dict(type='Normal', layer='Conv2d', std=0.01)
model = dict(
    # images of one group may differ in size; the backbone sees each on
    # its own, without padding
    data_preprocessor=dict(pad_train=False),
    neck=dict(
        _delete_=True,
        type='group_wsss.CoAttentionGNN',
        in_channels=512,
        # every convolution starts from N(0, 0.01), its bias from 0
        init_cfg=normal,
        # the class maps themselves are the states of the graph
        projection=dict(
            num_convs=3,
            channels=512,
            num_classes=num_classes,
            init_cfg=normal),
        num_steps=3,
        # two messages in a fixed order through one 3x3 convolution
        aggregation='concat',
        coattention=dict(
            key_channels=num_classes // 2,
            scale=1.0,
            normalize=False,
            bias=True,
            gate=True),
        update='gru',
        gru=dict(kernel_size=1),
        # in eval mode as well, a coin for every node in every round; until
        # April 2021 it was 0.95 and 0.9
        dropout=dict(
            type='group_wsss.GraphDropout',
            drop_prob=0.8,
            drop_threshold=0.7,
            coin='sample',
            active_in_eval=True)),
    head=dict(
        in_channels=None,
        num_classes=num_classes,
        # (0.4 * sum + 1.0 * sum) / 6 over three images, on means
        cam_weight=0.2,
        graph_weight=0.5,
        map_source='mean'))

# the shorter side is 256 pixels; no crop, no flip
train_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(type='ResizeEdge', scale=256, edge='short'),
    dict(
        type='ColorJitter',
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
        hue=0.1),
    dict(type='PackInputs', meta_keys=_base_.meta_keys)
]
test_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(type='ResizeEdge', scale=256, edge='short'),
    dict(type='PackInputs', meta_keys=_base_.meta_keys)
]
# not released: scales of the shorter side, and flips
tta_sizes = (128, 256, 384, 512)
tta_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='ResizeEdge', scale=side, edge='short')
                for side in tta_sizes
            ],
            [
                dict(type='RandomFlip', prob=0., direction='horizontal'),
                dict(type='RandomFlip', prob=1., direction='horizontal')
            ],
            [dict(type='PackInputs', meta_keys=_base_.meta_keys)],
        ])
]
train_dataloader = dict(
    # one group
    batch_size=group_size,
    # it names maps by position in the list, so it cannot shuffle
    sampler=dict(shuffle=False),
    # the same label set, else one class in common
    batch_sampler=dict(match='exact'),
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(dataset=dict(pipeline=test_pipeline)))
test_dataloader = dict(
    dataset=dict(match='exact', dataset=dict(pipeline=test_pipeline)))
auto_scale_lr = dict(base_batch_size=group_size)

# maps are gathered while training and labelled without saliency; give
# `saliency_dir` to have the released rules as a whole
default_hooks = dict(
    # labels are made of the maps of training alone
    pseudo_labels=dict(
        _delete_=True,
        type='group_wsss.AttentionAccumulationHook',
        begin_epoch=1,
        anchors_only=True,
        min_score=0.1,
        keep_last=True,
        labeler=dict(type='group_wsss.SaliencyLabeler')))
next_step = ('python tools/train.py configs/deeplabv3/'
             'deeplabv3_r50-d8_4xb4-20k_voc12-pseudo-512x512.py '
             '--data {{$DATA_ROOT:data/VOCdevkit/VOC2012}} '
             '--labels {work_dir}/pseudo_labels_accumulated')
