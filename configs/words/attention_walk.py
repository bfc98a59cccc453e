# Copyright (c) group_wsss contributors. All rights reserved.
# A walk along what the patches of CLIP attend to, in boxes around what is
# sure (CLIP-ES). CHECKPOINT: of CLIP; TEXT_FEATURES: as in custom.py. Not
# measured: see docs/words.md.
checkpoint = '{{$CHECKPOINT:CLIP/model.safetensors}}'
config = '{{ fileDirname }}/custom.py'
refiners = [
    dict(
        type='group_wsss.AttentionWalk',
        config=config,
        checkpoint=checkpoint,
        affinity='attention',
        box_share=0.4)
]
labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold='otsu')
