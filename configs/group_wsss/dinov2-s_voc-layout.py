# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 1 on any VOC-layout folder with a frozen DINOv2-S. All but the
# backbone is that of effnet-lite0_voc-layout.py, where it was chosen; nothing
# has been measured with DINO (docs/dino.md).
#
#   DINO_WEIGHTS=dinov2_vits14_reg4_pretrain.pth python tools/train.py \
#       configs/group_wsss/dinov2-s_voc-layout.py --data /path \
#       --list ImageSets/train_cls.txt
_base_ = [
    '../_base_/models/group_cam_dinov2-s.py',
    '../_base_/datasets/voc_layout_cls.py', '../_base_/cls_runtime.py'
]
group_size = 4
test_group_size = 64
bg_threshold = 'otsu'
max_iters = 250
# patches of 14 and of 16 pixels fill these sizes
image_size = (448, 448)
tta_sizes = (336, 448, 560)
train_pipeline = _base_.train_pipeline
test_pipeline = _base_.test_pipeline
tta_pipeline = _base_.tta_pipeline
for pipeline in (train_pipeline, test_pipeline):
    pipeline[1]['scale'] = image_size
for resize, side in zip(tta_pipeline[1]['transforms'][0], tta_sizes):
    resize['scale'] = (side, side)
del pipeline, resize, side
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(dataset=dict(pipeline=test_pipeline)))

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=0.01),
    paramwise_cfg=dict(
        custom_keys={'neck.coattention.whiten': dict(lr_mult=0.1)}))
param_scheduler = [dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False)]
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
test_cfg = dict()
default_hooks = dict(
    logger=dict(interval=25, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=50),
    pseudo_labels=dict(labeler=dict(bg_threshold=bg_threshold)),
    token_bank=dict(type='group_wsss.TokenBankHook', pool_size=16))
log_processor = dict(by_epoch=False)
next_step = ('python tools/train.py configs/segformer/'
             'segformer_effnet-lite0_voc-layout.py '
             '--data {{$DATA_ROOT:data/voc-layout}} --labels {pseudo_labels}')
