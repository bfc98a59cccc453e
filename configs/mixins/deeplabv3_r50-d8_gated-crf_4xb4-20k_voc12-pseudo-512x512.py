# Copyright (c) group_wsss contributors. All rights reserved.
# DeepLabV3 of mmseg with a gated CRF loss beside its own: the one changed line
# (and the type that hands it the image).
_base_ = '../deeplabv3/deeplabv3_r50-d8_4xb4-20k_voc12-pseudo-512x512.py'
model = dict(
    type='group_wsss.WeakEncoderDecoder',
    regularizers=[dict(type='group_wsss.GatedCRFLoss', loss_weight=0.1)])
