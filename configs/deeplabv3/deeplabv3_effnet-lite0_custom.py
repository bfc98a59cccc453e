# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 2 on your own images, after configs/group_wsss/custom.py: see the
# dataset file for the flags, and docs/own_data.md.
_base_ = [
    '../_base_/models/deeplabv3_effnet-lite0.py',
    '../_base_/datasets/custom_pseudo_seg.py', '../_base_/seg_runtime.py',
    '../_base_/schedules/schedule_cpu.py'
]
crop_size = (256, 256)
data_preprocessor = dict(size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    decode_head=dict(num_classes='from_data'),
    auxiliary_head=dict(num_classes='from_data'))
# what ImageNet taught is kept, the heads learn
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'backbone.': dict(lr_mult=0.1)}))
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=200, max_keep_ckpts=1))
# no masks, no validation
if _base_.val_dataloader is None:
    train_cfg = dict(val_interval=10**9)
    val_cfg = None
