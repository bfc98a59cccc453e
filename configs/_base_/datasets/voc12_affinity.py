# Copyright (c) group_wsss contributors. All rights reserved.
# Seeds for the 10,582 images of VOC 2012 train_aug. PSEUDO_DIR: a dump
# of labels that are unknown (255) wherever stage 1 is not sure (see
# configs/affinity/README.md). No mask is read.

# stock mmengine takes a file with an import for a lazy config
osp = __import__('os').path

data_root = '{{$DATA_ROOT:data/VOCdevkit/VOC2012}}'
seed_dir = osp.abspath('{{$PSEUDO_DIR:work_dirs/voc/pseudo_labels}}')
crop_size = (512, 512)
train_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(type='group_wsss.LoadSeeds', seed_dir=seed_dir),
    dict(
        type='RandomResize',
        scale=(2048, 512),
        ratio_range=(0.5, 1.5),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(
        type='Pad', size=crop_size, pad_val=dict(img=(104, 116, 124),
                                                 seg=255)),
    dict(type='group_wsss.PackSeeds')
]
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='group_wsss.VOCImageLevel',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/trainaug_cls.txt',
        data_prefix='JPEGImages',
        pipeline=train_pipeline))
