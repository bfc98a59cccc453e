# Copyright (c) group_wsss contributors. All rights reserved.
# Labels with their scores, for any folder in VOC layout:
#   DATA_ROOT/JPEGImages/ID.jpg; PSEUDO_DIR, a dump that kept its scores, such
#   as that of a random walk. No mask is read.

# stock mmengine takes a file with an import for a lazy config
osp = __import__('os').path

data_root = '{{$DATA_ROOT:data/voc-layout}}'
# absolute: mmengine puts data_root before a relative path
pseudo_dir = osp.abspath(
    '{{$PSEUDO_DIR:work_dirs/effnet-lite0_voc-layout/pseudo_labels}}')
# squeezed to one size: nothing is cut off, and all views of an image, but for
# its mirror image, are the same, which a cache of the backbone needs
crop_size = (384, 384)
train_pipeline = [
    dict(type='group_wsss.LoadImage'),
    # refuses a label image of another size than its image
    dict(type='group_wsss.LoadLabelImage'),
    dict(type='group_wsss.LoadScores'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    # the loss on a sixteenth of the pixels, twice as fine as the logits
    dict(type='SegRescale', scale_factor=0.25),
    dict(type='group_wsss.PackScores')
]
# of group_wsss.Segmentor, which hands over images
test_pipeline = [
    # mmseg's inferencer looks for this name; pillow turns as EXIF says
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='PascalVOCDataset',
        data_root=data_root,
        data_prefix=dict(img_path='JPEGImages', seg_map_path=pseudo_dir),
        ann_file=osp.join(pseudo_dir, 'ids.txt'),
        pipeline=train_pipeline))
