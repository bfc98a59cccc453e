# Copyright (c) group_wsss contributors. All rights reserved.
# Seeds from scores that are refined already, for a second affinity network.
refiners = []
labeler = dict(
    type='group_wsss.ThresholdLabeler', bg_threshold='otsu', margin=0.1)
