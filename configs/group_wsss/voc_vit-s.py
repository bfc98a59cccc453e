# Copyright (c) group_wsss contributors. All rights reserved.
# voc.py with ViT-S, DINOv2 weights
_base_ = [
    '../_base_/models/group_cam_vit-s.py', '../_base_/datasets/voc12_cls.py',
    '../_base_/schedules/schedule_15e_adamw.py', '../_base_/cls_runtime.py'
]
group_size = 4
test_group_size = 16
default_hooks = dict(
    pseudo_labels=dict(labeler=dict(bg_threshold='otsu')),
    token_bank=dict(type='group_wsss.TokenBankHook', pool_size=8))
# patches of 14 pixels
image_size = (392, 392)
train_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(
        type='Resize',
        scale=image_size,
        keep_ratio=False,
        interpolation='area'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
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
    dict(
        type='Resize',
        scale=image_size,
        keep_ratio=False,
        interpolation='area'),
    dict(type='PackInputs', meta_keys=_base_.meta_keys)
]
tta_sizes = (196, 392, 588, 784)
tta_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(
                    type='Resize',
                    scale=(side, side),
                    keep_ratio=False,
                    interpolation='area') for side in tta_sizes
            ],
            [
                dict(type='RandomFlip', prob=0., direction='horizontal'),
                dict(type='RandomFlip', prob=1., direction='horizontal')
            ],
            [dict(type='PackInputs', meta_keys=_base_.meta_keys)],
        ])
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(dataset=dict(pipeline=test_pipeline)))
test_dataloader = dict(dataset=dict(dataset=dict(pipeline=test_pipeline)))
