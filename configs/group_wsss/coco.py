# Copyright (c) group_wsss contributors. All rights reserved.
# voc.py on COCO, 80 classes; see the dataset file for COCO 2017.
#
#   python tools/train.py configs/group_wsss/coco.py
#
# ends with label images in work_dirs/coco/pseudo_labels.
_base_ = [
    '../_base_/models/group_cam_vgg16-os8.py',
    '../_base_/datasets/coco_cls.py',
    '../_base_/schedules/schedule_15e_sgd.py', '../_base_/cls_runtime.py'
]
group_size = 4
test_group_size = 16
model = dict(head=dict(num_classes=80))
default_hooks = dict(
    pseudo_labels=dict(labeler=dict(bg_threshold='otsu')),
    token_bank=dict(type='group_wsss.TokenBankHook', pool_size=8))
