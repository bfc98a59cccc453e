# Copyright (c) group_wsss contributors. All rights reserved.
# The recipe without superpixels, whose package no lent machine has.
_base_ = '../../configs/recipes/effnet-lite0_voc-layout.py'
stages = [stage for stage in _base_.stages if stage['name'] != 'regions']
for stage in stages:
    if stage['config'].startswith('../'):
        stage['config'] = '../../configs' + stage['config'][2:]
    if stage['name'] == 'labels':
        stage['config'] = '../../configs/refine/self_training.py'
        del stage['env']['REGIONS_DIR']
del stage
