# Copyright (c) group_wsss contributors. All rights reserved.
# The rules of the released code: background competes as 1 - saliency, and
# what is salient without a class is unknown. The scores stay as they are.
# SALIENCY_DIR: what tools/make_saliency.py wrote.
saliency_dir = '{{$SALIENCY_DIR:work_dirs/saliency}}'
refiners = []
labeler = dict(type='group_wsss.SaliencyLabeler', saliency_dir=saliency_dir)
