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
model = dict(
    neck=dict(
        num_steps=3,
        aggregation='mean',
        dropout=dict(
            type='group_wsss.GraphDropout', drop_prob=0.8,
            drop_threshold=0.7)),
    head=dict(num_classes=80))
