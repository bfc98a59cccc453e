# Copyright (c) group_wsss contributors. All rights reserved.
"""Folders as large as VOC 2012 and COCO, of a few hundred generated images.

A few hundred files of about 100 kB each are linked to all names, so that
the names, which decide on everything, are as many as they would be, and the
disk is not. What is read comes from memory.
"""
import json
import os
import os.path as osp
from typing import List, Sequence, Tuple

import cv2
import numpy as np

# sizes of VOC's images, width and height, the frequent ones more often
SIZES = [(500, 375)] * 5 + [(500, 333)] * 2 + [(375, 500), (333, 500),
                                               (500, 442)]
DISTINCT = 300
# COCO's images are small, so that its epoch fits into an hour of one core
COCO_SIZE = (160, 120)
# images of the list to validate on
VAL = 100
# a tiny backbone and tiny input in the shipped configs
SIDE = 64
PIPELINES = [
    f'{name}_dataloader.dataset.{inner}pipeline.1.scale=({SIDE},{SIDE})'
    for name, inner in (('train', ''), ('val', 'dataset.'), ('test',
                                                             'dataset.'))
]
TINY = [
    'model.backbone._delete_=True', 'model.backbone.type=mmpretrain.ResNet',
    'model.backbone.depth=18', 'model.backbone.stem_channels=8',
    'model.backbone.base_channels=8', 'model.backbone.num_stages=2',
    'model.backbone.strides=(1,2)', 'model.backbone.dilations=(1,1)',
    'model.backbone.out_indices=(1,)', 'model.neck.in_channels=16',
    'model.neck.projection.channels=64', 'model.head.in_channels=64',
    'default_hooks.pseudo_labels.keep_scores=True',
    'default_hooks.logger.interval=10', 'train_cfg.max_epochs=1', *PIPELINES
]
TINY_STAGE2 = [
    'model.pretrained=None', 'model.backbone.depth=18',
    'model.backbone.stem_channels=8', 'model.backbone.base_channels=8',
    'model.decode_head.in_channels=64', 'model.decode_head.channels=32',
    'model.auxiliary_head=None', 'default_hooks.logger.interval=10',
    'model.data_preprocessor.size=(128,128)',
    'train_dataloader.dataset.pipeline.2.scale=(512,128)',
    'train_dataloader.dataset.pipeline.3.crop_size=(128,128)',
    'val_dataloader=None', 'val_evaluator=None', 'val_cfg=None',
    'test_dataloader=None', 'test_evaluator=None', 'test_cfg=None'
]


def write_images(folder: str,
                 names: Sequence[str],
                 sizes: Sequence[Tuple[int, int]] = SIZES) -> None:
    """Blobs with noise, as JPEG files; sizes come in turn."""
    os.makedirs(folder)
    rng = np.random.default_rng(0)
    for number, name in enumerate(names):
        path = osp.join(folder, name)
        if number >= DISTINCT:
            os.link(osp.join(folder, names[number % DISTINCT]), path)
            continue
        width, height = sizes[number % len(sizes)]
        blobs = rng.integers(0, 256, (9, 12, 3), np.uint8)
        image = cv2.resize(
            blobs, (width, height), interpolation=cv2.INTER_CUBIC)
        noise = rng.normal(0, 18, (height, width, 1))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(path, image, [cv2.IMWRITE_JPEG_QUALITY, 90])


def write_voc(root: str, image_list: str, images: int) -> None:
    """VOC's layout with the tags of the first lines of a list."""
    with open(image_list) as file:
        lines = [' '.join(line.split()) for line in file][:images]
    ids = [line.split()[0] for line in lines]
    write_images(osp.join(root, 'JPEGImages'), [f'{i}.jpg' for i in ids])
    folder = osp.join(root, 'ImageSets/Segmentation')
    os.makedirs(folder)
    for name, words in (('trainaug_cls', lines), ('trainaug', ids),
                        ('val_cls', lines[:VAL])):
        with open(osp.join(folder, f'{name}.txt'), 'w') as file:
            file.write('\n'.join(words) + '\n')


def write_coco(root: str, images: int) -> None:
    """COCO's layout: 80 classes, 7 annotations an image with polygons."""
    rng = np.random.default_rng(1)
    names = [f'COCO_train2014_{i:012d}.jpg' for i in range(images)]
    write_images(osp.join(root, 'train2014'), names, [COCO_SIZE])
    os.symlink('train2014', osp.join(root, 'val2014'))
    os.makedirs(osp.join(root, 'annotations'))
    # frequencies as in Zipf's law; an image names about three classes
    weight = 1 / np.arange(2, 82)
    polygon = rng.uniform(0, 333, 44).round(2).tolist()
    anns: List[dict] = []
    for image in range(images):
        classes = rng.choice(80, 3, p=weight / weight.sum())
        for class_id in classes[rng.integers(0, 3, 7)].tolist():
            anns.append(
                dict(
                    id=len(anns),
                    image_id=image,
                    category_id=class_id,
                    iscrowd=0,
                    area=1.0,
                    bbox=polygon[:4],
                    segmentation=[polygon]))
    for split, count in (('train', images), ('val', VAL)):
        content = dict(
            categories=[dict(id=i, name=f'class {i}') for i in range(80)],
            images=[
                dict(id=i, file_name=name, width=500, height=375)
                for i, name in enumerate(names[:count])
            ],
            annotations=anns[:7 * count])
        path = osp.join(root, f'annotations/instances_{split}2014.json')
        with open(path, 'w') as file:
            file.write(json.dumps(content))
