# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 1 as published (docs/method.md): weights of the backbone
# 1x, its biases 2x, weights of new layers 10x, their biases 20x. mmengine
# matches custom keys as parts of a name, the longest first, and applies no
# `bias_lr_mult` to what they match, so the new biases are listed.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='SGD', lr=1e-3, momentum=0.9, weight_decay=5e-4, nesterov=True),
    paramwise_cfg=dict(
        bias_lr_mult=2.,
        custom_keys={
            'neck.': dict(lr_mult=10.),
            'head.': dict(lr_mult=10.),
            # a part of the backbone of EfficientNets
            'conv_head.': dict(lr_mult=1.),
            'neck.projection.convs.0.bias': dict(lr_mult=20.),
            'neck.projection.convs.2.bias': dict(lr_mult=20.),
            'neck.projection.convs.4.bias': dict(lr_mult=20.),
            'neck.projection.classifier.bias': dict(lr_mult=20.),
            'head.classifier.bias': dict(lr_mult=20.),
            'head.graph_classifier.bias': dict(lr_mult=20.),
            'neck.merge.bias': dict(lr_mult=20.),
            'neck.gru.update_gate.bias': dict(lr_mult=20.),
            'neck.gru.reset_gate.bias': dict(lr_mult=20.),
            'neck.gru.candidate.bias': dict(lr_mult=20.),
        }))
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=True,
        begin=0,
        end=15,
        milestones=[5, 10],
        gamma=0.1)
]
train_cfg = dict(by_epoch=True, max_epochs=15, val_interval=15)
val_cfg = dict()
test_cfg = dict()
# for --auto-scale-lr: images a step that the learning rate is made for
auto_scale_lr = dict(base_batch_size=16)
