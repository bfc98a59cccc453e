# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 1 in seconds: the shipped wiring around a narrow ResNet-18 and small
# images. DATA_ROOT and TRAIN_LIST as in the shipped configs.
_base_ = [
    '../../configs/_base_/datasets/voc_layout_cls.py',
    '../../configs/_base_/cls_runtime.py'
]
group_size = 2
image_size = (64, 64)
meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor',
             'flip', 'flip_direction', 'group_slot')
train_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(type='Resize', scale=image_size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs', meta_keys=meta_keys)
]
test_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(type='Resize', scale=image_size, keep_ratio=False),
    dict(type='PackInputs', meta_keys=meta_keys)
]
model = dict(
    type='group_wsss.GroupCAM',
    data_preprocessor=dict(
        type='group_wsss.GroupDataPreprocessor',
        mean=[127.0, 127.0, 127.0],
        std=[64.0, 64.0, 64.0],
        to_rgb=True),
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=18,
        stem_channels=8,
        base_channels=8,
        strides=(1, 2, 1, 1),
        out_indices=(3, )),
    neck=dict(type='group_wsss.CoAttentionGNN', in_channels=64, num_steps=1),
    head=dict(type='group_wsss.GroupCAMHead', in_channels=64, num_classes=20))
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    batch_sampler=dict(match='any'),
    dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(match='any', dataset=dict(pipeline=test_pipeline)))
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
test_cfg = dict()
default_hooks = dict(
    logger=dict(interval=1, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=2))
log_processor = dict(by_epoch=False)
