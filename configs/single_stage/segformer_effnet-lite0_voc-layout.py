# Copyright (c) group_wsss contributors. All rights reserved.
# Class maps of groups, labels and decoder in one training, from tags, on any
# folder in VOC layout and a CPU: see the dataset file for the flags, and
# docs/single_stage.md.
_base_ = [
    '../_base_/models/segformer_effnet-lite0.py',
    '../_base_/datasets/voc_layout_tags_seg.py', '../_base_/seg_runtime.py',
    '../_base_/schedules/schedule_cpu.py'
]
custom_imports = dict(
    imports=['group_wsss', 'group_wsss.contrib.single_stage'],
    allow_failed_imports=False)
group_size = 4
crop_size = (384, 384)
model = dict(
    type='group_wsss.OnlineWeakEncoderDecoder',
    # the classifier learns first, as in stage 1
    warmup=250,
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        # an image of 384 x 384 and its mirror image take 3.1 MB
        backbone=dict(
            _delete_=True,
            type='group_wsss.EffNetLite0Levels',
            weights='package',
            output_stride=32)),
    # those of configs/group_wsss/effnet-lite0_voc-layout.py
    cam_neck=dict(
        type='group_wsss.CoAttentionGNN',
        in_channels=1280,
        num_steps=1,
        update='mix',
        gamma_init=0.8,
        dropout=None,
        coattention=dict(
            key='contrast',
            key_channels=64,
            normalize=True,
            scale=15.0,
            softmax='group',
            gate=False)),
    cam_head=dict(
        type='group_wsss.GroupCAMHead',
        in_channels=1280,
        bias=False,
        cam_weight=1.0,
        graph_weight=1.0,
        init_cfg=dict(type='Constant', layer='Conv2d', val=0.0)),
    # chosen by looking at masks of voc1155 train_a
    labeler=dict(
        bg_power=1.5,
        high=0.55,
        low=0.45,
        downscale=4,
        refine=dict(
            type='group_wsss.PixelAdaptiveRefinement',
            dilations=(1, 2, 4, 8))))
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
max_iters = 750
optim_wrapper = dict(
    optimizer=dict(lr=5e-3),
    # classifier and keys of the graph have the rates of stage 1
    paramwise_cfg=dict(
        custom_keys={
            'cam_neck.coattention.whiten': dict(lr_mult=0.2),
            'cam_head': dict(lr_mult=2.0)
        }))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(
        type='PolyLR',
        eta_min=1e-5,
        power=0.9,
        begin=50,
        end=max_iters,
        by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
# in the warm-up the decoder has no loss
find_unused_parameters = True
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(interval=250, max_keep_ckpts=1),
    # nothing in the training data is a mask
    weak_supervision=dict(type='group_wsss.WeakSupervisionHook'))
# no masks, no validation
if _base_.val_dataloader is None:
    train_cfg = dict(max_iters=max_iters, val_interval=10**9)
    val_cfg = None
    del tta_transforms[2]
tta_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='TestTimeAug', transforms=tta_transforms)
]
