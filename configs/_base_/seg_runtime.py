# Copyright (c) group_wsss contributors. All rights reserved.
# runtime of stage 2: the segmentation network
default_scope = 'mmseg'
# `num_classes='from_data'` is understood
runner_type = 'group_wsss.DataRunner'
custom_imports = dict(imports=['group_wsss'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='group_wsss.AtomicCheckpointHook',
        by_epoch=False,
        interval=2000,
        max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
    # a line a validation; at the end what was written and what to type next
    epoch_summary=dict(type='group_wsss.EpochSummaryHook'),
    run_summary=dict(type='group_wsss.RunSummaryHook'),
    # checkpoints run no code, and have to fit where a run is resumed or tested
    safe_loading=dict(type='group_wsss.SafeLoadingHook'),
    # stops at a loss that is NaN or infinite; action='skip' leaves it out
    non_finite=dict(type='group_wsss.NonFiniteHook'),
    # counts what on_corrupt='skip' of a dataset replaces
    skipped_images=dict(type='group_wsss.SkippedImagesHook'),
    # a resumed run is the same as one that was not interrupted
    random_state=dict(type='group_wsss.RandomStateHook'),
    group_resume=dict(type='group_wsss.GroupResumeHook'),
    preemption=dict(type='group_wsss.PreemptionHook'),
    validation_resume=dict(type='group_wsss.ValidationResumeHook'))

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # seconds that a process waits for another one
    dist_cfg=dict(backend='nccl', timeout=1800))

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')

log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0, deterministic=False)

tta_model = dict(type='SegTTAModel')
