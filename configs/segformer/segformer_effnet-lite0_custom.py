# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 2 on your own images, minutes on a CPU: see the dataset file for the
# flags, and docs/own_data.md.
_base_ = [
    '../_base_/models/segformer_effnet-lite0.py',
    '../_base_/datasets/custom_pseudo_seg.py', '../_base_/seg_runtime.py',
    '../_base_/schedules/schedule_cpu.py'
]
# squeezed to one size: nothing is cut off, and all crops of an image, but for
# its mirror image, are the same, which the cache of the backbone needs
crop_size = (384, 384)
model = dict(
    data_preprocessor=dict(size=crop_size),
    decode_head=dict(num_classes='from_data'))
train_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(type='group_wsss.LoadLabelImage'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='LoadAnnotations', imdecode_backend='pillow'),
    dict(type='PackSegInputs')
]
# tools/test.py --tta
tta_sizes = (288, 384, 512)
tta_transforms = [
    [
        dict(type='Resize', scale=(side, side), keep_ratio=False)
        for side in tta_sizes
    ],
    [
        dict(type='RandomFlip', prob=0., direction='horizontal'),
        dict(type='RandomFlip', prob=1., direction='horizontal')
    ],
    [dict(type='LoadAnnotations', imdecode_backend='pillow')],
    [dict(type='PackSegInputs')],
]
# behind batch norm, which makes steps smaller as weights are larger; chosen
# with labels and masks of voc1155 train_a and train_b, as the head was
optim_wrapper = dict(optimizer=dict(lr=5e-3))
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=200, max_keep_ckpts=1))
# no masks, no validation
if _base_.val_dataloader is None:
    train_cfg = dict(val_interval=10**9)
    val_cfg = None
    del tta_transforms[2]
    test_dataloader = dict(
        dataset=dict(pipeline=[
            step for step in test_pipeline if step['type'] != 'LoadAnnotations'
        ]))
else:
    val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
    test_dataloader = val_dataloader
tta_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='TestTimeAug', transforms=tta_transforms)
]
