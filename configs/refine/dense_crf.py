# Copyright (c) group_wsss contributors. All rights reserved.
# A fully connected CRF with the bandwidths that are usual for pseudo labels.
refiners = [
    dict(
        type='group_wsss.DenseCRF',
        bg_threshold='otsu',
        bilateral_sxy=50.0,
        bilateral_srgb=5.0)
]
# refined scores are equal with background at 0.5
labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold=0.5)
