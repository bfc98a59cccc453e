# Copyright (c) group_wsss contributors. All rights reserved.
# self_training.py, then scores that are constant in superpixels.
# REGIONS_DIR: what tools/make_regions.py wrote, or any folder of such files
_base_ = './self_training.py'
refiners = _base_.refiners
refiners.append(
    dict(
        type='group_wsss.RegionVote',
        regions_dir='{{$REGIONS_DIR:work_dirs/regions}}'))
