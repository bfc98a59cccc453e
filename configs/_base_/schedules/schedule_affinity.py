# Copyright (c) group_wsss contributors. All rights reserved.
# An affinity head on a frozen backbone; it starts at random and is all that
# learns. The length is that of affinity_effnet-lite0_voc-layout.py.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=3e-3, weight_decay=1e-4))
param_scheduler = [
    dict(
        type='PolyLR',
        power=1.0,
        eta_min=0.0,
        # no end: that of the training
        by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=150)
next_step = ("refiners=[dict(type='group_wsss.RandomWalk', "
             "config='{config}', checkpoint='{checkpoint}')]")
