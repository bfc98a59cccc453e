# Copyright (c) group_wsss contributors. All rights reserved.
# Seeds for any folder in VOC layout:
#   DATA_ROOT/JPEGImages/ID.jpg and the image list DATA_ROOT/TRAIN_LIST, as in
#   stage 1; PSEUDO_DIR, a dump of labels that are unknown (255) wherever
#   stage 1 is not sure (see configs/affinity/README.md).
# No mask is read.

# stock mmengine takes a file with an import for a lazy config
osp = __import__('os').path

data_root = '{{$DATA_ROOT:data/voc-layout}}'
train_list = '{{$TRAIN_LIST:ImageSets/train_cls.txt}}'
seed_dir = osp.abspath(
    '{{$PSEUDO_DIR:work_dirs/effnet-lite0_voc-layout/pseudo_labels}}')
crop_size = (384, 384)
train_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(type='group_wsss.LoadSeeds', seed_dir=seed_dir),
    dict(
        type='RandomResize',
        scale=(1280, 448),
        ratio_range=(0.75, 1.5),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='Pad', size=crop_size, pad_val=dict(img=(127, 127, 127),
                                                 seg=255)),
    dict(type='group_wsss.PackSeeds')
]
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='group_wsss.VOCImageLevel',
        data_root=data_root,
        ann_file=train_list,
        data_prefix='JPEGImages',
        pipeline=train_pipeline))
