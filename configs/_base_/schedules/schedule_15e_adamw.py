# Copyright (c) group_wsss contributors. All rights reserved.
# Stage 1 for transformers and ConvNeXt: as many epochs as published, with the
# optimizer and the decay that such backbones are fine-tuned with; new layers
# learn 10x as fast, as published.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-5, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(
        norm_decay_mult=0.,
        bias_decay_mult=0.,
        flat_decay_mult=0.,
        custom_keys={
            'neck.': dict(lr_mult=10.),
            'head.': dict(lr_mult=10.),
            '.cls_token': dict(decay_mult=0.),
            '.pos_embed': dict(decay_mult=0.),
            '.relative_position_bias_table': dict(decay_mult=0.),
        }))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-2,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.,
        by_epoch=True,
        begin=1,
        end=15,
        convert_to_iter_based=True)
]
train_cfg = dict(by_epoch=True, max_epochs=15, val_interval=15)
val_cfg = dict()
test_cfg = dict()
# for --auto-scale-lr: images a step that the learning rate is made for
auto_scale_lr = dict(base_batch_size=16)
