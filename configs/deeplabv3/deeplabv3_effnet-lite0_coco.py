# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 2 on COCO or a part of it, 81 classes, on a CPU: see
# ../_base_/datasets/coco_pseudo_seg.py for files and environment variables.

# stock mmengine takes a file with an import for a lazy config
osp = __import__('os').path

_base_ = './deeplabv3_effnet-lite0_voc-layout.py'
data_root = '{{$DATA_ROOT:data/coco2014}}'
train_split = '{{$TRAIN_SPLIT:train2014}}'
val_split = '{{$VAL_SPLIT:val2014}}'
pseudo_dir = osp.abspath(
    '{{$PSEUDO_DIR:work_dirs/effnet-lite0_coco/pseudo_labels}}')
model = dict(
    decode_head=dict(num_classes=81), auxiliary_head=dict(num_classes=81))
train_dataloader = dict(
    dataset=dict(
        type='group_wsss.CocoVOCStyle',
        data_root=data_root,
        data_prefix=dict(img_path=train_split, seg_map_path=pseudo_dir),
        ann_file=osp.join(pseudo_dir, 'ids.txt')))
val_dataloader = dict(
    _delete_=True,
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='group_wsss.CocoVOCStyle',
        data_root=data_root,
        data_prefix=dict(img_path=val_split, seg_map_path='SegmentationClass'),
        ann_file=f'ImageSets/{val_split}.txt',
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True, type='group_wsss.CheckedIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
train_cfg = dict(val_interval=600)
val_cfg = dict(_delete_=True, type='ValLoop')
test_cfg = dict(type='TestLoop')
