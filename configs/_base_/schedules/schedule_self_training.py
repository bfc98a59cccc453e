# Copyright (c) group_wsss contributors. All rights reserved.
# A small head on a frozen backbone, trained on labels that are partly wrong:
# short, or it learns them by heart.
max_iters = 250
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01))
param_scheduler = [
    dict(
        type='PolyLR',
        power=1.0,
        eta_min=0.0,
        # no end: that of the training
        by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
next_step = ("refiners=[dict(type='group_wsss.Segmentor', "
             "config='{config}', checkpoint='{checkpoint}')]")
