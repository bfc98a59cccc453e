# Copyright (c) group_wsss contributors. All rights reserved.
# DeepLabV3 of mmseg with the bootstrapped cross entropy as its loss: it trusts
# its own prediction a little where the labels are noisy.
_base_ = '../deeplabv3/deeplabv3_r50-d8_4xb4-20k_voc12-pseudo-512x512.py'
model = dict(
    decode_head=dict(
        loss_decode=dict(
            _delete_=True,
            type='group_wsss.BootstrappedCrossEntropy',
            mode='hard',
            avg_non_ignore=True)))
