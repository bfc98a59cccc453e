# Copyright (c) group_wsss contributors. All rights reserved.
# effnet-lite0_voc-layout.py with saliency maps, which are more than tags:
# their network has seen masks of salient objects (docs/saliency.md).
#
#   RECIPE=configs/recipes/effnet-lite0_voc-layout_saliency.py
#   python tools/make_labels.py $RECIPE --data /path \
#       --list ImageSets/train_cls.txt
#
# `stages.0.options.model=FILE` takes another U2-Net or IS-Net.
_base_ = './effnet-lite0_voc-layout.py'
stages = _base_.stages
for stage in stages:
    if stage['name'] == 'labels':
        stage['title'] += ', and what catches the eye'
        stage['config'] = '../refine/self_training_saliency.py'
        stage['env']['SALIENCY_DIR'] = '{saliency}'
del stage
# first: whatever is missing shows before anything is trained
stages.insert(
    0,
    dict(
        name='saliency',
        title='what catches the eye, by a network that has seen masks',
        tool='saliency'))
