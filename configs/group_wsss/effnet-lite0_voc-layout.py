# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 1 on any VOC-layout folder, minutes on two CPU cores.
#
#   python tools/train.py configs/group_wsss/effnet-lite0_voc-layout.py \
#       --data /path --list ImageSets/train_cls.txt
#
# ends with label images in <work-dir>/pseudo_labels. What each choice is
# worth is measured in docs/benchmarks.md.
_base_ = [
    '../_base_/models/group_cam_effnet-lite0.py',
    '../_base_/datasets/voc_layout_cls.py', '../_base_/cls_runtime.py'
]
group_size = 4
# images asked per image when labels are written; may differ from the
# size of the training groups
test_group_size = 64
# chosen from the scores of all images, without masks; on 264 images
# it was within half a point of the best threshold (docs/benchmarks.md)
bg_threshold = 'otsu'
max_iters = 250

model = dict(
    freeze_backbone=True,
    # few images, frozen weights: the same pixels give the same maps
    backbone=dict(
        _delete_=True,
        type='group_wsss.FeatureCache',
        # 264 images at three scales and flipped take 1.3 GB
        max_bytes=4 * 2**30,
        backbone=dict(
            type='group_wsss.EffNetLite0', weights='package',
            output_stride=32)),
    neck=dict(
        _delete_=True,
        type='group_wsss.CoAttentionGNN',
        in_channels=1280,
        num_steps=1,
        update='mix',
        # share of the message, scale of the cosines and the rate of the keys
        # below were chosen by looking at masks of voc1155 train_a
        gamma_init=0.8,
        dropout=None,
        coattention=dict(
            # a partner is heard where it shows the same thing
            key='contrast',
            key_channels=64,
            normalize=True,
            scale=15.0,
            softmax='group',
            gate=False)),
    head=dict(
        bias=False,
        cam_weight=1.0,
        graph_weight=1.0,
        init_cfg=dict(type='Constant', layer='Conv2d', val=0.0)))

# not SGD: the released head with SGD does not learn from so few images
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=0.01),
    paramwise_cfg=dict(
        custom_keys={'neck.coattention.whiten': dict(lr_mult=0.1)}))
param_scheduler = [
    dict(
        type='PolyLR',
        power=1.0,
        eta_min=0.0,
        # no end: that of the training
        by_epoch=False)
]
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
test_cfg = dict()
default_hooks = dict(
    logger=dict(interval=25, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=50),
    pseudo_labels=dict(labeler=dict(bg_threshold=bg_threshold)),
    # partners send from tokens on disk: as many as there are positions
    token_bank=dict(type='group_wsss.TokenBankHook', pool_size=12))
log_processor = dict(by_epoch=False)
next_step = ('python tools/train.py configs/segformer/'
             'segformer_effnet-lite0_voc-layout.py '
             '--data {{$DATA_ROOT:data/voc-layout}} --labels {pseudo_labels}')
