# Copyright (c) group_wsss contributors. All rights reserved.
# tiny_group_cam.py that tests, and ends training, with scales and flips.
_base_ = ['./tiny_group_cam.py']
tta_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=(64, 64), keep_ratio=False),
                dict(type='Resize', scale=(96, 80), keep_ratio=True)
            ],
            [
                dict(type='RandomFlip', prob=0., direction='horizontal'),
                dict(type='RandomFlip', prob=1., direction='horizontal')
            ],
            [dict(type='PackInputs', meta_keys=_base_.meta_keys)],
        ])
]
test_cfg = dict(type='group_wsss.TTATestLoop')
