# Copyright (c) group_wsss contributors. All rights reserved.
# From tags to the best labels that we know how to make on a few CPU cores, and
# to a network trained on them, for any folder in VOC layout;
# docs/benchmarks.md has what each step gives.
#
#   python tools/make_labels.py configs/recipes/effnet-lite0_voc-layout.py \
#       --data /path --list ImageSets/train_cls.txt
#
# No step reads a mask. `config` is relative to this file; {NAME} is the
# folder of an earlier stage, {last:NAME} its latest checkpoint, {here} the
# folder of this file. `share`: the seconds that a stage took for 500 images
# (docs/own_data.md), from which the time that is left is told; `fast`: options
# and the seconds of `--fast`.
# `keep_scores=False`: no later stage reads score maps, hundreds of megabytes.
environment = ['DATA_ROOT', 'TRAIN_LIST', 'VAL_LIST', 'MASK_DIR']
image_dir = '{{$DATA_ROOT:data/voc-layout}}/JPEGImages'
# stock mmengine takes a file with an import for a lazy config; a list may have
# a path of its own
osp = __import__('os').path
image_list = osp.join('{{$DATA_ROOT:data/voc-layout}}',
                      '{{$TRAIN_LIST:ImageSets/train_cls.txt}}')
stages = [
    dict(
        name='regions',
        title='superpixels, which need no labels',
        tool='regions',
        options=dict(backend='felzenszwalb', size=100),
        share=105),
    dict(
        name='classifier',
        title='a classifier of groups learns the tags; class maps',
        tool='train',
        config='../group_wsss/effnet-lite0_voc-layout.py',
        # scales and flip (test_cfg.type='group_wsss.TTATestLoop') would
        # take longer than all the rest
        options={'default_hooks.pseudo_labels.keep_scores': True},
        leaves='pseudo_labels/manifest.json',
        share=165),
    dict(
        name='seeds',
        title='what is certain after colours have had their say',
        tool='refine',
        config='../refine/seeds.py',
        dump='{classifier}/pseudo_labels',
        keep_scores=False,
        share=42),
    dict(
        name='affinity',
        title='a network learns from it which neighbours belong together',
        tool='train',
        config='../affinity/affinity_effnet-lite0_voc-layout.py',
        env=dict(PSEUDO_DIR='{seeds}'),
        fast={
            'train_cfg.max_iters': 60,
            'share': 40
        },
        share=95),
    dict(
        name='walk',
        title='class maps walk along these affinities',
        tool='refine',
        config='../refine/random_walk.py',
        dump='{classifier}/pseudo_labels',
        env=dict(AFFINITY='{last:affinity}'),
        share=85),
    dict(
        name='pixels',
        title='a classifier of pixels learns the result',
        tool='train',
        config='../self_training/fcn_effnet-lite0_voc-layout.py',
        # a shorter training costs more than the stage gives
        env=dict(PSEUDO_DIR='{walk}'),
        share=310),
    dict(
        name='labels',
        title='the result times its opinion, averaged in superpixels',
        tool='refine',
        config='../refine/self_training_regions.py',
        dump='{walk}',
        env=dict(SEGMENTOR='{last:pixels}', REGIONS_DIR='{regions}'),
        keep_scores=False,
        share=110),
    dict(
        name='segmentor',
        title='a segmentation network learns the labels',
        tool='train',
        config='../segformer/segformer_effnet-lite0_voc-layout.py',
        env=dict(PSEUDO_DIR='{labels}'),
        fast={
            'train_cfg.max_iters': 150,
            'share': 160
        },
        share=450),
]
next_step = ('python tools/predict.py '
             '{segmentor}/segformer_effnet-lite0_voc-layout.py '
             '{last:segmentor} IMAGES --out predictions')
