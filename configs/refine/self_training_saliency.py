# Copyright (c) group_wsss contributors. All rights reserved.
# self_training_regions.py, then a mean with saliency maps, which are extra
# data; their share was chosen by masks of voc1155 train_a.
# SALIENCY_DIR: what tools/make_saliency.py wrote.
_base_ = './self_training_regions.py'
refiners = _base_.refiners
refiners.append(
    dict(
        type='group_wsss.Saliency',
        saliency_dir='{{$SALIENCY_DIR:work_dirs/saliency}}',
        weight=0.3))
