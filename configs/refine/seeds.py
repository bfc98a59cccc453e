# Copyright (c) group_wsss contributors. All rights reserved.
# What an affinity network learns from: maps that follow the colours of the
# image, and of these only the pixels well above or below the threshold;
# the others are unknown.
_base_ = ['pixel_adaptive.py']
labeler = dict(margin=0.1)
