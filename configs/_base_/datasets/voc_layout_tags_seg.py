# Copyright (c) group_wsss contributors. All rights reserved.
# Images and tags for a segmentor, any folder in VOC layout:
#   --data: images JPEGImages/ID.jpg;
#   --list: the image list with the tags, relative to --data.
# No mask is read in training. There is no validation unless you have masks:
#   --val-list, a list of ids; --masks, index PNGs ID.png, SegmentationClass
#   by default. Lists and masks are relative to --data.
data_root = '{{$DATA_ROOT:data/voc-layout}}'
train_list = '{{$TRAIN_LIST:ImageSets/train_cls.txt}}'
val_list = '{{$VAL_LIST:none}}'
# squeezed to one size: nothing is cut off, so the tags are those of the crop,
# and an image comes as itself or mirrored, which the cache of the backbone
# needs
crop_size = (384, 384)
train_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='group_wsss.PackTags')
]
test_pipeline = [
    # mmseg's inferencer looks for this name; pillow turns as EXIF says
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    # after `Resize`: the mask keeps its size
    # pillow reads the indices of a PNG with a palette, cv2 its colours
    dict(type='LoadAnnotations', imdecode_backend='pillow'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    batch_sampler=dict(type='group_wsss.GroupBatchSampler', match='exact'),
    dataset=dict(
        type='group_wsss.TaggedImages',
        metainfo=dict(
            classes=('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus',
                     'car', 'cat', 'chair', 'cow', 'diningtable', 'dog',
                     'horse', 'motorbike', 'person', 'pottedplant', 'sheep',
                     'sofa', 'train', 'tvmonitor')),
        data_root=data_root,
        ann_file=train_list,
        data_prefix='JPEGImages',
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
            type='PascalVOCDataset',
            data_root=data_root,
            data_prefix=dict(
                img_path='JPEGImages',
                seg_map_path='{{$MASK_DIR:SegmentationClass}}'),
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
            test_mode=True,
            pipeline=[
                step for step in test_pipeline
                if step['type'] != 'LoadAnnotations'
            ]))
    test_evaluator = dict(
        type='mmseg.IoUMetric',
        format_only=True,
        output_dir='work_dirs/predictions')
