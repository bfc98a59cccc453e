# Copyright (c) group_wsss contributors. All rights reserved.
# VOC 2012, the 10,582 images of train_aug and their image-level tags, as
# tools/dataset_converters/voc12_aug.py writes them. No mask is read, in
# training or after it.
dataset_type = 'group_wsss.VOCImageLevel'
data_root = '{{$DATA_ROOT:data/VOCdevkit/VOC2012}}'
list_root = 'ImageSets/Segmentation/'
group_size = 4
# Images are squeezed to a square: a batch is one tensor without padding,
# all maps of a group have one size, and no object is cut off that its tag
# speaks of. 384 is a multiple of every stride from 8 to 32 and about the
# shorter side of a VOC image.
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
        ann_file=list_root + 'trainaug_cls.txt',
        data_prefix='JPEGImages',
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
            ann_file=list_root + 'val_cls.txt',
            data_prefix='JPEGImages',
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
            ann_file=list_root + 'trainaug_cls.txt',
            data_prefix='JPEGImages',
            test_mode=True,
            pipeline=test_pipeline)))
val_evaluator = dict(type='AveragePrecision')
test_evaluator = val_evaluator
# ends with <work-dir>/pseudo_labels; that of voc.py is where stage 2 looks
next_step = ('python tools/train.py configs/deeplabv3/'
             'deeplabv3_r50-d8_4xb4-20k_voc12-pseudo-512x512.py '
             '--data {{$DATA_ROOT:data/VOCdevkit/VOC2012}} '
             '--labels {pseudo_labels}')
