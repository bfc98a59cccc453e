# Copyright (c) group_wsss contributors. All rights reserved.
# Labels by a threshold that the scores themselves suggest; no mask is read.
refiners = []
labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold='otsu')
