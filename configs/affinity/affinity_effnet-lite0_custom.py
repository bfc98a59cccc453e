# Copyright (c) group_wsss contributors. All rights reserved.
# The same for the list of configs/group_wsss/custom.py: paths in it are
# relative to DATA_ROOT, and it names the classes.
_base_ = './affinity_effnet-lite0_voc-layout.py'
train_dataloader = dict(
    dataset=dict(
        type='group_wsss.ImageLevelDataset',
        data_root='{{$DATA_ROOT:data/custom}}',
        ann_file='{{$TRAIN_LIST:labels.json}}',
        data_prefix=''))
