# Copyright (c) group_wsss contributors. All rights reserved.
# The same with keys of co-attention that learn by contrast between images
# (docs/method.md): a partner is heard where it shows the same thing. No table
# of docs/benchmarks.md has it yet. The rate of the keys and the share of the
# message were chosen by looking at masks of voc1155 train_a.
_base_ = './effnet-lite0_voc-layout.py'
model = dict(
    neck=dict(
        gamma_init=0.8,
        coattention=dict(key='contrast', whitening=dict(begin=50))))
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={'neck.coattention.whiten': dict(lr_mult=0.1)}))
