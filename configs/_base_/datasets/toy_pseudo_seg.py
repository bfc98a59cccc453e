# Copyright (c) group_wsss contributors. All rights reserved.
# The built-in toy set, 96x96 pixels; masks are read for testing only.
# TOY_ROOT: the generated folder. PSEUDO_DIR: index PNGs, 0 background, 1..6,
# 255 unknown, one for every id of ImageSets/train.txt.

# stock mmengine takes a file with an import for a lazy config
osp = __import__('os').path

dataset_type = 'BaseSegDataset'
data_root = '{{$TOY_ROOT:data/toy}}'
# absolute: mmengine puts data_root before a relative path
pseudo_dir = osp.abspath('{{$PSEUDO_DIR:work_dirs/toy/pseudo_labels}}')
metainfo = dict(
    classes=('background', 'ring', 'cross', 'wedge', 'checker', 'dots',
             'bars'),
    palette=[[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128],
             [128, 0, 128], [0, 128, 128]])
crop_size = (96, 96)
train_pipeline = [
    dict(type='group_wsss.LoadImage'),
    # refuses a label image of another size than its image
    dict(type='group_wsss.LoadLabelImage'),
    dict(
        type='RandomResize',
        scale=(96, 96),
        ratio_range=(0.75, 1.5),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
test_pipeline = [
    # mmseg's inferencer looks for this name; pillow turns as EXIF says
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    # after the image: the mask keeps its size
    # pillow reads the indices of a PNG with a palette, cv2 its colours
    dict(type='LoadAnnotations', imdecode_backend='pillow'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        metainfo=metainfo,
        data_root=data_root,
        data_prefix=dict(img_path='JPEGImages', seg_map_path=pseudo_dir),
        ann_file='ImageSets/train.txt',
        img_suffix='.jpg',
        seg_map_suffix='.png',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        metainfo=metainfo,
        data_root=data_root,
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/val.txt',
        img_suffix='.jpg',
        seg_map_suffix='.png',
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='group_wsss.CheckedIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
