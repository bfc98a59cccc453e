# Copyright (c) group_wsss contributors. All rights reserved.
# The same for the list of configs/group_wsss/custom.py: paths in it are
# relative to DATA_ROOT. The manifest of the dump names the classes.
_base_ = './fcn_effnet-lite0_voc-layout.py'
model = dict(decode_head=dict(num_classes='from_data'))
train_dataloader = dict(
    dataset=dict(
        type='group_wsss.PseudoLabelDataset',
        data_root='{{$DATA_ROOT:data/custom}}',
        data_prefix=dict(img_path=''),
        ann_file='{{$TRAIN_LIST:labels.json}}'))
