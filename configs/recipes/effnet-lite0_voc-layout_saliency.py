# Copyright (c) group_wsss contributors. All rights reserved.
# effnet-lite0_voc-layout.py with saliency maps, which are more than tags:
# their network has seen masks of salient objects (docs/saliency.md, where the
# recipe without them gives better labels of VOC images).
#
#   RECIPE=configs/recipes/effnet-lite0_voc-layout_saliency.py
#   python tools/make_labels.py $RECIPE --data /path \
#       --list ImageSets/train_cls.txt
#
# `stages.0.options.model=FILE` takes another U2-Net or IS-Net.
_base_ = './effnet-lite0_voc-layout.py'
stages = _base_.stages
# first: whatever is missing shows before anything is trained
stages.insert(
    0,
    dict(
        name='saliency',
        title='what catches the eye, by a network that has seen masks',
        tool='saliency'))
stages.insert(
    3,
    dict(
        name='fused',
        title='class maps and saliency meet halfway',
        tool='refine',
        config='../refine/saliency.py',
        dump='{classifier}/pseudo_labels',
        env=dict(SALIENCY_DIR='{saliency}')))
for stage in stages:
    if stage['name'] in ('seeds', 'walk'):
        stage['dump'] = '{fused}'
del stage
