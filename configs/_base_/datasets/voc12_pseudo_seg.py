# Copyright (c) group_wsss contributors. All rights reserved.
# VOC 2012: trained on pseudo labels for the 10,582 ids, tested on masks.
# PSEUDO_DIR: a folder of index PNGs, 0 background, 1..20, 255 unknown.

# stock mmengine takes a file with an import for a lazy config
osp = __import__('os').path

dataset_type = 'PascalVOCDataset'
data_root = '{{$DATA_ROOT:data/VOCdevkit/VOC2012}}'
# absolute: mmengine puts data_root before a relative path
pseudo_dir = osp.abspath('{{$PSEUDO_DIR:work_dirs/voc/pseudo_labels}}')
crop_size = (512, 512)
train_pipeline = [
    dict(type='group_wsss.LoadImage'),
    # refuses a label image of another size than its image
    dict(type='group_wsss.LoadLabelImage'),
    dict(
        type='RandomResize',
        scale=(2048, 512),
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
test_pipeline = [
    # mmseg's inferencer looks for this name; pillow turns as EXIF says
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='Resize', scale=(2048, 512), keep_ratio=True),
    # after `Resize`: the mask keeps its size
    # pillow reads the indices of a PNG with a palette, cv2 its colours
    dict(type='LoadAnnotations', imdecode_backend='pillow'),
    dict(type='PackSegInputs')
]
img_ratios = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
tta_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale_factor=r, keep_ratio=True)
                for r in img_ratios
            ],
            [
                dict(type='RandomFlip', prob=0., direction='horizontal'),
                dict(type='RandomFlip', prob=1., direction='horizontal')
            ],
            [dict(type='LoadAnnotations', imdecode_backend='pillow')],
            [dict(type='PackSegInputs')],
        ])
]
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='JPEGImages', seg_map_path=pseudo_dir),
        ann_file='ImageSets/Segmentation/trainaug.txt',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/val.txt',
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='group_wsss.CheckedIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
