# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 1 on VOC 2012: VGG16 at output stride 8, groups of four in training,
# sixteen images asked per image when labels are written, fifteen epochs of
# SGD. One round of co-attention with whitened keys, which beats a plain
# classifier. Keys learned by contrast beat it by far on features of a frozen
# EfficientNet with Adam, by half a point on one that trains, and by nothing
# with the SGD of this config (docs/benchmarks.md); nothing has been measured
# with VGG16. voc_paper.py has the paper's graph.
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
test_group_size = 16
default_hooks = dict(
    # chosen from the scores of all images, without masks
    pseudo_labels=dict(labeler=dict(bg_threshold='otsu')),
    # partners send from tokens on disk: no pass of the backbone for each
    token_bank=dict(type='group_wsss.TokenBankHook', pool_size=8))
