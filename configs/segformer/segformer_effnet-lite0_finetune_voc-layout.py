# Copyright (c) group_wsss contributors. All rights reserved.
# The network of segformer_effnet-lite0_voc-layout.py trains on, backbone
# included, slowly and without batch statistics: an iteration costs what 30
# did, as nothing is kept.
# SEGMENTOR: the checkpoint of the frozen one
_base_ = './segformer_effnet-lite0_voc-layout.py'
load_from = (
    '{{$SEGMENTOR:work_dirs/segformer_effnet-lite0_voc-layout/iter_600.pth}}')
max_iters = 250
model = dict(
    freeze_backbone=False, backbone=dict(backbone=dict(norm_eval=True)))
# the first settings tried
optim_wrapper = dict(optimizer=dict(lr=2e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(
        type='PolyLR',
        eta_min=1e-6,
        power=0.9,
        begin=20,
        end=max_iters,
        by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
train_dataloader = dict(batch_size=8)
default_hooks = dict(
    checkpoint=dict(interval=50),
    # the same network and the same classes, or nothing
    safe_loading=dict(strict=True))
