# Copyright (c) group_wsss contributors. All rights reserved.
# custom.py with a frozen DINOv2-S; another one: the model of
# dinov3-s_voc-layout.py, in a copy of this file.
_base_ = './dinov2-s_voc-layout.py'
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
