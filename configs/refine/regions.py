# Copyright (c) group_wsss contributors. All rights reserved.
# Scores that are constant in the regions of an image: the mean of the map.
# REGIONS_DIR: what tools/make_regions.py wrote, or any folder of such files.
regions_dir = '{{$REGIONS_DIR:work_dirs/regions}}'
refiners = [dict(type='group_wsss.RegionVote', regions_dir=regions_dir)]
labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold='otsu')
