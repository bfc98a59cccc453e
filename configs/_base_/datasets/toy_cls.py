# Copyright (c) group_wsss contributors. All rights reserved.
# The built-in toy set with image-level labels, 96x96 pixels.
# TOY_ROOT: the folder that tools/dataset_converters/toy.py has written.
# Masks are read by a metric of the test loop, and by nothing else.
data_root = '{{$TOY_ROOT:data/toy}}'
dataset_type = 'group_wsss.ToyImageLevel'
num_classes = 6
meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor',
             'flip', 'flip_direction', 'group_slot')
train_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs', meta_keys=meta_keys)
]
test_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(type='PackInputs', meta_keys=meta_keys)
]
# test-time augmentation: tools/test.py --tta, or training and testing with
# test_cfg = dict(type='group_wsss.TTATestLoop')
tta_sizes = (96, 144, 192)
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
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    batch_sampler=dict(type='group_wsss.GroupBatchSampler', match='any'),
    batch_size=32,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='ImageSets/train_cls.txt',
        data_prefix='JPEGImages',
        pipeline=train_pipeline))
# one group a batch: what is computed for an image cannot depend on others
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='group_wsss.group_collate'),
    dataset=dict(
        type='group_wsss.GroupedDataset',
        match='each',
        dataset=dict(
            type=dataset_type,
            data_root=data_root,
            ann_file='ImageSets/train_cls.txt',
            data_prefix='JPEGImages',
            test_mode=True,
            pipeline=test_pipeline),
        # partners are training images, whatever list is tested
        reference=dict(
            type=dataset_type,
            data_root=data_root,
            ann_file='ImageSets/train_cls.txt',
            data_prefix='JPEGImages',
            test_mode=True,
            pipeline=test_pipeline)))
test_evaluator = [
    dict(type='AveragePrecision'),
    dict(type='group_wsss.CAMIoU', ann_dir=f'{data_root}/SegmentationClass')
]
