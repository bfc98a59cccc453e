# Copyright (c) group_wsss contributors. All rights reserved.
# DeepLabV3 of mmseg with the cross entropy of soft labels in place of
# its own. It wants the scores of stage 1: keep_scores=True of PseudoLabelHook.
_base_ = '../deeplabv3/deeplabv3_r50-d8_4xb4-20k_voc12-pseudo-512x512.py'
model = dict(
    type='group_wsss.WeakEncoderDecoder',
    head_loss=False,
    regularizers=[dict(type='group_wsss.SoftCrossEntropy')])
# the scores are loaded after the labels, and packed with them
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='group_wsss.LoadScores'),
    *_base_.train_pipeline[2:-1],
    dict(type='group_wsss.PackScores'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
