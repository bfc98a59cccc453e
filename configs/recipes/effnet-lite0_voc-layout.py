# Copyright (c) group_wsss contributors. All rights reserved.
# From tags to the best labels that we know how to make on a few CPU cores,
# for any folder in VOC layout; docs/benchmarks.md has what each step gives.
#
#   DATA_ROOT=/path TRAIN_LIST=ImageSets/train_cls.txt \
#       python tools/make_labels.py configs/recipes/effnet-lite0_voc-layout.py
#
# No step reads a mask. `config` is relative to this file; {NAME} is the
# folder of an earlier stage, {last:NAME} its latest checkpoint, {here} the
# folder of this file.
environment = ['DATA_ROOT', 'TRAIN_LIST']
image_dir = '{{$DATA_ROOT:data/voc-layout}}/JPEGImages'
stages = [
    dict(
        name='classifier',
        title='a classifier of groups learns the tags; class maps',
        tool='train',
        config='../group_wsss/effnet-lite0_voc-layout.py',
        options={
            'default_hooks.pseudo_labels.keep_scores': True,
            'test_cfg.type': 'group_wsss.TTATestLoop'
        },
        leaves='pseudo_labels/manifest.json'),
    dict(
        name='seeds',
        title='what is certain after colours have had their say',
        tool='refine',
        config='../refine/seeds.py',
        dump='{classifier}/pseudo_labels'),
    dict(
        name='affinity',
        title='a network learns from it which neighbours belong together',
        tool='train',
        config='../affinity/affinity_effnet-lite0_voc-layout.py',
        env=dict(PSEUDO_DIR='{seeds}')),
    dict(
        name='walk',
        title='class maps walk along these affinities',
        tool='refine',
        config='../refine/random_walk.py',
        dump='{classifier}/pseudo_labels',
        env=dict(AFFINITY='{last:affinity}')),
    dict(
        name='pixels',
        title='a classifier of pixels learns the result',
        tool='train',
        config='../self_training/fcn_effnet-lite0_voc-layout.py',
        env=dict(PSEUDO_DIR='{walk}')),
    dict(
        name='labels',
        title='the result times its opinion',
        tool='refine',
        config='../refine/self_training.py',
        dump='{walk}',
        env=dict(SEGMENTOR='{last:pixels}')),
]
next_step = ('PSEUDO_DIR={labels} python tools/train.py '
             'configs/deeplabv3/deeplabv3_effnet-lite0_voc-layout.py')
