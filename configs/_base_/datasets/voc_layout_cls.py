# Copyright (c) group_wsss contributors. All rights reserved.
# Any folder in VOC layout: images and an image list with class ids.
# DATA_ROOT: the folder. TRAIN_LIST: the list (txt, csv or json), relative to
# it. No mask is read, here or in the test loop, which labels the images
# that were trained on.
data_root = '{{$DATA_ROOT:data/voc-layout}}'
train_list = '{{$TRAIN_LIST:ImageSets/train_cls.txt}}'
dataset_type = 'group_wsss.VOCImageLevel'
# images are squeezed to a square, so that all maps have one size
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
tta_sizes = (288, 384, 512)
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
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    batch_sampler=dict(type='group_wsss.GroupBatchSampler', match='exact'),
    batch_size=16,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file=train_list,
        data_prefix='JPEGImages',
        pipeline=train_pipeline))
# one group a batch: what is computed for an image cannot depend on others
test_dataloader = dict(
    num_workers=2,
    persistent_workers=True,
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='group_wsss.group_collate'),
    dataset=dict(
        type='group_wsss.GroupedDataset',
        match='each',
        dataset=dict(
            type=dataset_type,
            data_root=data_root,
            ann_file=train_list,
            data_prefix='JPEGImages',
            test_mode=True,
            pipeline=test_pipeline)))
test_evaluator = dict(type='AveragePrecision')
