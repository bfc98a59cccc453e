# Copyright (c) group_wsss contributors. All rights reserved.
# Pixel-adaptive refinement at half the size of the images.
refiners = [
    dict(type='group_wsss.PixelAdaptive', bg_threshold='otsu', downscale=2)
]
labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold=0.5)
