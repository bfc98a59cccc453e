# Copyright (c) group_wsss contributors. All rights reserved.
# effnet-lite0_voc-layout.py on COCO or a part of it, on a CPU: some of the
# images of the JSON may be missing.
#
#   DATA_ROOT=/path TRAIN_SPLIT=train2017 \
#       python tools/train.py configs/group_wsss/effnet-lite0_coco.py
#
# reads DATA_ROOT/annotations/instances_TRAIN_SPLIT.json and the images in
# DATA_ROOT/TRAIN_SPLIT.
_base_ = './effnet-lite0_voc-layout.py'
data_root = '{{$DATA_ROOT:data/coco2014}}'
train_split = '{{$TRAIN_SPLIT:train2014}}'
dataset = dict(
    type='group_wsss.CocoImageLevel',
    data_root=data_root,
    ann_file=f'annotations/instances_{train_split}.json',
    data_prefix=train_split)
model = dict(head=dict(num_classes=80))
train_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dict(dataset=dataset))
next_step = ('python tools/train.py '
             'configs/deeplabv3/deeplabv3_effnet-lite0_coco.py '
             '--data {{$DATA_ROOT:data/coco2014}} --labels {pseudo_labels}')
