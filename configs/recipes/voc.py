# Copyright (c) group_wsss contributors. All rights reserved.
# effnet-lite0_voc-layout.py with the networks of the field, for VOC 2012 as
# tools/dataset_converters/voc12_aug.py writes it. Built and planned in tests,
# not run here: no machine of ours holds VOC.
#
#   python tools/make_labels.py configs/recipes/voc.py --gpus 4 --nproc 8
_base_ = './effnet-lite0_voc-layout.py'
environment = ['DATA_ROOT']
image_dir = '{{$DATA_ROOT:data/VOCdevkit/VOC2012}}/JPEGImages'
image_list = ('{{$DATA_ROOT:data/VOCdevkit/VOC2012}}/ImageSets/'
              'Segmentation/trainaug_cls.txt')
stages = _base_.stages
for stage in stages:
    stage['share'] = None  # not measured
    if stage['name'] == 'classifier':
        stage['config'] = '../group_wsss/voc.py'
        stage['options']['test_cfg.type'] = 'group_wsss.TTATestLoop'
    elif stage['name'] == 'affinity':
        stage['config'] = '../affinity/affinity_r50_voc.py'
    elif stage['name'] == 'walk':
        stage['options'] = {
            'refiners.0.config': '{here}/../affinity/affinity_r50_voc.py'
        }
    elif stage['name'] == 'pixels':
        stage['config'] = '../self_training/fcn_r50_voc.py'
    elif stage['name'] == 'labels':
        stage['options'] = {
            'refiners.0.config': '{here}/../self_training/fcn_r50_voc.py'
        }
    elif stage['name'] == 'segmentor':
        stage['config'] = ('../deeplabv3/deeplabv3_r101-d8_4xb4-20k_voc12-'
                           'pseudo-512x512.py')
del stage
next_step = ('python tools/predict.py '
             '{segmentor}/deeplabv3_r101-d8_4xb4-20k_voc12-pseudo-512x512.py '
             '{last:segmentor} IMAGES --out predictions')
