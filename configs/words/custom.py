# Copyright (c) group_wsss contributors. All rights reserved.
# Labels from words and tags, without training: CLIP ViT-B/16.
#
#   python tools/text_features.py names.txt --model CLIP -o text.npz
#   TEXT_FEATURES=text.npz python tools/test.py configs/words/custom.py \
#       CLIP/model.safetensors --data DIR
#
# --data and --list as in ../group_wsss/custom.py. Ends with a dump of labels
# and scores in <work-dir>/pseudo_labels. Not measured: see docs/words.md.
_base_ = ['../_base_/datasets/voc_layout_cls.py', '../_base_/cls_runtime.py']
custom_imports = dict(
    imports=['group_wsss', 'group_wsss.contrib.words.components'],
    allow_failed_imports=False)
# not work_dirs/custom, where labels by tags alone may be
work_dir = 'work_dirs/words'
group_size = 1
model = dict(
    type='group_wsss.TextCAM',
    freeze_backbone=True,
    data_preprocessor=dict(
        mean=[122.771, 116.746, 104.094],
        std=[68.501, 66.632, 70.323],
        to_rgb=True),
    backbone=dict(type='group_wsss.DenseCLIP'),
    head=dict(
        type='group_wsss.TextCAMHead',
        text='{{$TEXT_FEATURES:work_dirs/words/text.npz}}'))
data = dict(
    type='group_wsss.ImageLevelDataset',
    data_root='{{$DATA_ROOT:data/custom}}',
    ann_file='{{$TRAIN_LIST:labels.json}}',
    data_prefix='')
# nothing is trained
train_dataloader = None
test_dataloader = dict(dataset=dict(dataset=data))
test_cfg = dict()
default_hooks = dict(
    check_prompts=dict(type='group_wsss.CheckPrompts'),
    pseudo_labels=dict(labeler=dict(bg_threshold='otsu'), keep_scores=True))
