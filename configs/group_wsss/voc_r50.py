# Copyright (c) group_wsss contributors. All rights reserved.
# voc.py with ResNet-50 at output stride 16
_base_ = [
    '../_base_/models/group_cam_r50.py', '../_base_/datasets/voc12_cls.py',
    '../_base_/schedules/schedule_15e_sgd.py', '../_base_/cls_runtime.py'
]
group_size = 4
test_group_size = 16
default_hooks = dict(
    pseudo_labels=dict(labeler=dict(bg_threshold='otsu')),
    token_bank=dict(type='group_wsss.TokenBankHook', pool_size=8))
