# Copyright (c) group_wsss contributors. All rights reserved.
# Your own images with the labels of stage 1; names, number of classes
# and colours come from the manifest of the dump.
#   --data and --list as in stage 1; --labels, the dump.
# There is no validation unless you have masks:
#   --val-list, a list of ids or an image list;
#   --masks, index PNGs ID.png with the labels of the manifest.

# stock mmengine takes a file with an import for a lazy config
osp = __import__('os').path

dataset_type = 'group_wsss.PseudoLabelDataset'
data_root = '{{$DATA_ROOT:data/custom}}'
train_list = '{{$TRAIN_LIST:labels.json}}'
# absolute: mmengine puts data_root before a relative path
pseudo_dir = osp.abspath('{{$PSEUDO_DIR:work_dirs/custom/pseudo_labels}}')
val_list = '{{$VAL_LIST:none}}'
crop_size = (256, 256)
train_pipeline = [
    dict(type='group_wsss.LoadImage'),
    # refuses a label image of another size than its image
    dict(type='group_wsss.LoadLabelImage'),
    dict(
        type='RandomResize',
        scale=(1024, 320),
        ratio_range=(0.75, 1.5),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
test_pipeline = [
    # mmseg's inferencer looks for this name; pillow turns as EXIF says
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='Resize', scale=(1024, 320), keep_ratio=True),
    # after `Resize`: the mask keeps its size
    # pillow reads the indices of a PNG with a palette, cv2 its colours
    dict(type='LoadAnnotations', imdecode_backend='pillow'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='', seg_map_path=pseudo_dir),
        ann_file=train_list,
        pipeline=train_pipeline))
val_dataloader = None
val_evaluator = None
if val_list != 'none':
    val_dataloader = dict(
        batch_size=1,
        num_workers=1,
        persistent_workers=True,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type=dataset_type,
            data_root=data_root,
            data_prefix=dict(
                img_path='', seg_map_path='{{$MASK_DIR:SegmentationClass}}'),
            manifest=osp.join(pseudo_dir, 'manifest.json'),
            ann_file=val_list,
            pipeline=test_pipeline))
    val_evaluator = dict(
        type='group_wsss.CheckedIoUMetric', iou_metrics=['mIoU'])
test_dataloader = val_dataloader
test_evaluator = val_evaluator
if test_dataloader is None:
    # without masks a test writes labels of the training images; mmseg's
    # inferencer takes its pipeline from here
    test_dataloader = dict(
        batch_size=1,
        num_workers=1,
        persistent_workers=True,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            train_dataloader['dataset'],
            pipeline=[
                step for step in test_pipeline
                if step['type'] != 'LoadAnnotations'
            ]))
    test_evaluator = dict(
        type='mmseg.IoUMetric',
        format_only=True,
        output_dir='work_dirs/predictions')
