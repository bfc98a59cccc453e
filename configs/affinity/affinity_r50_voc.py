# Copyright (c) group_wsss contributors. All rights reserved.
# The affinities of group_wsss.RandomWalk on VOC 2012: three passes over its
# photographs, as published. Built and stepped in tests, not trained here.
_base_ = [
    '../_base_/models/affinity_r50.py', '../_base_/datasets/voc12_affinity.py',
    '../_base_/seg_runtime.py'
]
custom_imports = dict(imports=['group_wsss'], allow_failed_imports=False)
max_iters = 2000

# the head starts at random and is all that learns
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=3e-3, weight_decay=1e-4))
param_scheduler = [
    dict(
        type='PolyLR',
        power=1.0,
        eta_min=0.0,
        begin=0,
        end=max_iters,
        by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=500, max_keep_ckpts=1),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # nothing in the training data is a mask
    weak_supervision=dict(type='group_wsss.WeakSupervisionHook'))
next_step = ("refiners=[dict(type='group_wsss.RandomWalk', "
             "config='{config}', checkpoint='{checkpoint}')]")
