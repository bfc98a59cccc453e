# Copyright (c) group_wsss contributors. All rights reserved.
# Seeds from scores that are refined already, for a second affinity network.
refiners = []
labeler = dict(
    type='group_wsss.ThresholdLabeler', bg_threshold=0.5, margin=0.1)
