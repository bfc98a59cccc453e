# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 1 on your own images and tags, minutes on two CPU cores.
#
#   python tools/dataset_converters/from_folders.py DIR -o DIR/labels.json
#   python tools/train.py configs/group_wsss/custom.py --data DIR
#
# --data: paths in the list are relative to it. --list: the list, labels.json
# by default, with class names in it; their number is the model's.
# Ends with label images in <work-dir>/pseudo_labels. See docs/own_data.md.
_base_ = './effnet-lite0_voc-layout.py'
data = dict(
    type='group_wsss.ImageLevelDataset',
    data_root='{{$DATA_ROOT:data/custom}}',
    ann_file='{{$TRAIN_LIST:labels.json}}',
    data_prefix='')
# settled by our tools, and by those of mmpretrain through the runner
model = dict(head=dict(num_classes='from_data'))
train_dataloader = dict(dataset=data)
test_dataloader = dict(dataset=dict(dataset=data))
next_step = ('python tools/train.py '
             'configs/segformer/segformer_effnet-lite0_custom.py '
             '--data {{$DATA_ROOT:data/custom}} '
             '--list {{$TRAIN_LIST:labels.json}} --labels {pseudo_labels}')
