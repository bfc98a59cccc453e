# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 1 on VOC 2012 with the paper's choices: VGG16 at output stride 8, its
# features as nodes, groups of four, three rounds of co-attention with graph
# dropout, fifteen epochs of SGD. Class maps are read in groups after training.
#
#   python tools/dataset_converters/voc12_aug.py --root data --download
#   python tools/train.py configs/group_wsss/voc.py
#
# ends with label images in work_dirs/voc/pseudo_labels.
_base_ = [
    '../_base_/models/group_cam_vgg16-os8.py',
    '../_base_/datasets/voc12_cls.py',
    '../_base_/schedules/schedule_15e_sgd.py', '../_base_/cls_runtime.py'
]
group_size = 4
model = dict(
    neck=dict(
        num_steps=3,
        aggregation='mean',
        dropout=dict(
            type='group_wsss.GraphDropout', drop_prob=0.8,
            drop_threshold=0.7)))
