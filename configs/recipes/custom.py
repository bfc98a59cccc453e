# Copyright (c) group_wsss contributors. All rights reserved.
# effnet-lite0_voc-layout.py for your own images and classes: any list of
# configs/group_wsss/custom.py.
#
#   python tools/make_labels.py configs/recipes/custom.py --data photos
_base_ = './effnet-lite0_voc-layout.py'
image_dir = '{{$DATA_ROOT:data/custom}}'
osp = __import__('os').path
image_list = osp.join('{{$DATA_ROOT:data/custom}}',
                      '{{$TRAIN_LIST:labels.json}}')
stages = _base_.stages
for stage in stages:
    if stage['name'] == 'classifier':
        stage['config'] = '../group_wsss/custom.py'
    elif stage['name'] == 'affinity':
        stage['config'] = '../affinity/affinity_effnet-lite0_custom.py'
    elif stage['name'] == 'pixels':
        stage['config'] = '../self_training/fcn_effnet-lite0_custom.py'
    elif stage['name'] == 'labels':
        # the config as it was trained, which knows the number of classes
        stage['options'] = {
            'refiners.0.config': '{pixels}/fcn_effnet-lite0_custom.py'
        }
    elif stage['name'] == 'segmentor':
        stage['config'] = '../segformer/segformer_effnet-lite0_custom.py'
del stage
next_step = ('python tools/predict.py '
             '{segmentor}/segformer_effnet-lite0_custom.py '
             '{last:segmentor} IMAGES --out predictions')
