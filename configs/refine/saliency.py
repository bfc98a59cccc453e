# Copyright (c) group_wsss contributors. All rights reserved.
# Background where the mean of class score and saliency is low, by a threshold
# that these means themselves suggest; no mask of the images is read, but the
# network behind the saliency maps has seen masks of others (docs/saliency.md).
# SALIENCY_DIR: what tools/make_saliency.py wrote.
saliency_dir = '{{$SALIENCY_DIR:work_dirs/saliency}}'
refiners = [dict(type='group_wsss.Saliency', saliency_dir=saliency_dir)]
labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold='otsu')
