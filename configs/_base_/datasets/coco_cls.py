# Copyright (c) group_wsss contributors. All rights reserved.
# COCO, 80 classes: images and the image-level labels that the annotations
# give. Segmentations are dropped while the JSON is parsed, in training and
# after it.
#   DATA_ROOT/annotations/instances_SPLIT.json, DATA_ROOT/SPLIT/*.jpg
# for TRAIN_SPLIT and VAL_SPLIT, by default COCO 2014. COCO 2017:
#   DATA_ROOT=data/coco2017 TRAIN_SPLIT=train2017 VAL_SPLIT=val2017
dataset_type = 'group_wsss.CocoImageLevel'
data_root = '{{$DATA_ROOT:data/coco2014}}'
train_split = '{{$TRAIN_SPLIT:train2014}}'
val_split = '{{$VAL_SPLIT:val2014}}'
group_size = 4
# as in voc12_cls.py
image_size = (384, 384)
meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor',
             'flip', 'flip_direction', 'group_slot')
train_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(
        type='Resize',
        scale=image_size,
        keep_ratio=False,
        interpolation='area'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(
        type='ColorJitter',
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
        hue=0.1),
    dict(type='PackInputs', meta_keys=meta_keys)
]
test_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(
        type='Resize',
        scale=image_size,
        keep_ratio=False,
        interpolation='area'),
    dict(type='PackInputs', meta_keys=meta_keys)
]
# test-time augmentation: tools/test.py --tta, or training and testing with
# test_cfg = dict(type='group_wsss.TTATestLoop')
tta_sizes = (192, 384, 576, 768)
tta_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(
                    type='Resize',
                    scale=(side, side),
                    keep_ratio=False,
                    interpolation='area') for side in tta_sizes
            ],
            [
                dict(type='RandomFlip', prob=0., direction='horizontal'),
                dict(type='RandomFlip', prob=1., direction='horizontal')
            ],
            [dict(type='PackInputs', meta_keys=meta_keys)],
        ])
]
tta_model = dict(type='group_wsss.GroupCAMTTA')
train_dataloader = dict(
    # images, that is four groups
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='group_wsss.GroupBatchSampler', match='exact'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file=f'annotations/instances_{train_split}.json',
        data_prefix=train_split,
        pipeline=train_pipeline))
# what the classifier says of an image alone: partners are found by the
# tags, which a score must not know
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='group_wsss.group_collate'),
    dataset=dict(
        type='group_wsss.GroupedDataset',
        group_size=1,
        dataset=dict(
            type=dataset_type,
            data_root=data_root,
            ann_file=f'annotations/instances_{val_split}.json',
            data_prefix=val_split,
            test_mode=True,
            pipeline=test_pipeline)))
# labels the images that were trained on, one group a batch: what is
# computed for an image cannot depend on others
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='group_wsss.group_collate'),
    dataset=dict(
        type='group_wsss.GroupedDataset',
        match='each',
        dataset=dict(
            type=dataset_type,
            data_root=data_root,
            ann_file=f'annotations/instances_{train_split}.json',
            data_prefix=train_split,
            test_mode=True,
            pipeline=test_pipeline)))
val_evaluator = dict(type='AveragePrecision')
test_evaluator = val_evaluator
# ends with <work-dir>/pseudo_labels; that of coco.py is where stage 2 looks
next_step = ('python tools/train.py configs/deeplabv3/'
             'deeplabv3_r101-d8_4xb4-80k_coco-pseudo-512x512.py '
             '--data {{$DATA_ROOT:data/coco2014}} --labels {pseudo_labels}')
