# Copyright (c) group_wsss contributors. All rights reserved.
# VGG16 with output stride 8 and the head of the released code

checkpoint = ('https://download.openmmlab.com/mmclassification/v0/vgg/'
              'vgg16_batch256_imagenet_20210208-db26f1a5.pth')

model = dict(
    type='group_wsss.GroupCAM',
    data_preprocessor=dict(
        type='group_wsss.GroupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='group_wsss.VGGOS8',
        depth=16,
        init_cfg=dict(
            type='Pretrained', checkpoint=checkpoint, prefix='backbone.')),
    neck=dict(
        type='group_wsss.CoAttentionGNN',
        in_channels=512,
        # those of the released head
        projection=dict(num_convs=3, channels=512),
        # wider nodes cost more and did not help (docs/benchmarks.md)
        channels=64,
        num_steps=3,
        coattention=dict(normalize=True, scale=10.0)),
    head=dict(type='group_wsss.GroupCAMHead', in_channels=512, num_classes=20))
