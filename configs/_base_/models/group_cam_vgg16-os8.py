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
        num_steps=1,
        update='mix',
        gamma_init=0.5,
        dropout=None,
        coattention=dict(
            key='whitened',
            key_channels=64,
            # the backbone trains: what it gave long ago counts less
            whitening=dict(momentum=0.05),
            normalize=True,
            scale=25.0,
            softmax='group',
            gate=False)),
    head=dict(type='group_wsss.GroupCAMHead', in_channels=512, num_classes=20))
