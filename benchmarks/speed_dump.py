# Copyright (c) group_wsss contributors. All rights reserved.
"""Label images from class maps, without CRF, against the peer."""
import argparse
import os
import os.path as osp
import tempfile
from typing import List

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement
from peer import peer_label, peer_write_maps
from speed_common import paired, ratio, seconds

from group_wsss.datasets import VOC_CLASSES
from group_wsss.pseudo_labels import LabelDump
from group_wsss.pseudo_labels.labelers import ThresholdLabeler
from group_wsss.structures import DumpWriter, ScoreMap
from group_wsss.structures.label_image import read_index_png, voc_palette

REPEATS = 5
IMAGES = 60
# the commonest size of VOC, and a map of stride 16
SHAPE, MAP_SHAPE = (375, 500), (24, 32)
THRESHOLD = 0.35


def make_samples(number: int, seed: int) -> List[BaseDataElement]:
    """What a model predicts: one to three smooth maps for each image."""
    dice = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    samples = []
    for i in range(number):
        count = 1 + i % 3
        maps = torch.randn(1, count, 6, 8, generator=dice)
        maps = F.interpolate(maps, MAP_SHAPE, mode='bilinear')[0].relu()
        ids = np.sort(rng.choice(len(VOC_CLASSES), count, replace=False))
        samples.append(
            BaseDataElement(
                metainfo=dict(img_id=f'image_{i}', ori_shape=SHAPE),
                class_ids=torch.from_numpy(ids),
                class_maps=maps))
    return samples


def ours(samples: List[BaseDataElement], folder: str) -> None:
    """As ``PseudoLabelHook`` does it, with the manifest."""
    writer = DumpWriter(folder, VOC_CLASSES)
    writer.begin()
    dump = LabelDump(writer, ThresholdLabeler(THRESHOLD))
    for sample in samples:
        dump.take(ScoreMap.from_sample(sample))
    writer.finish()


def peers(samples: List[BaseDataElement], folder: str,
          through_files: bool) -> None:
    """One image at a time, maps of all classes at the size of the image."""
    os.makedirs(folder, exist_ok=True)
    for sample in samples:
        ids, maps = sample.class_ids.tolist(), sample.class_maps.numpy()
        if through_files:
            for class_id in ids:
                path = osp.join(folder, f'{sample.img_id}_{class_id}.png')
                if osp.isfile(path):  # of the run before
                    os.remove(path)
            peer_write_maps(folder, sample.img_id, ids, maps)
        peer_label(
            sample.img_id,
            sample.ori_shape,
            ids,
            len(VOC_CLASSES),
            THRESHOLD,
            voc_palette(),
            osp.join(folder, f'{sample.img_id}.png'),
            folder,
            maps=None if through_files else maps)


def agreement(samples: List[BaseDataElement], one: str, two: str) -> float:
    """Share of equal pixels in two folders."""
    same = [
        read_index_png(osp.join(one, f'{s.img_id}.png')) == read_index_png(
            osp.join(two, f'{s.img_id}.png')) for s in samples
    ]
    return float(np.mean(same))


def measure(args: argparse.Namespace, number: int = IMAGES) -> List[dict]:
    """A row for ours and for each peer."""
    samples = make_samples(number, args.seed)
    with tempfile.TemporaryDirectory() as root:
        folders = {
            name: osp.join(root, name)
            for name in ('ours', 'memory', 'files')
        }
        times = paired(
            {
                'ours': lambda: ours(samples, folders['ours']),
                'memory': lambda: peers(samples, folders['memory'], False),
                'files': lambda: peers(samples, folders['files'], True),
            }, args.repeats)
        same = {
            name: agreement(samples, folders['ours'], folder)
            for name, folder in folders.items()
        }
    titles = {
        'ours': 'ours',
        'memory': 'peer, maps in memory',
        'files': 'peer, a PNG for each class map, as released'
    }
    return [{
        'labels': title,
        'images a second and core': number / seconds(times[name]),
        'ours is faster by': ratio(times[name], times['ours']),
        'equal pixels': same[name],
        'times': times[name]
    } for name, title in titles.items()]
