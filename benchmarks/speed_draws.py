# Copyright (c) group_wsss contributors. All rights reserved.
"""Draws of partners on the real VOC list against redrawing."""
import argparse
import os.path as osp
import random
from typing import List, Sequence

import numpy as np
from peer import peer_partners
from speed_common import paired, ratio, seconds

from group_wsss.datasets import LabelIndex
from group_wsss.structures import read_image_list
from group_wsss.utils.errors import InputError

REPEATS = 5
GROUP_SIZE = 4
# the peer takes about a millisecond a group
ANCHORS = 400
CHUNK = 4096


def measure(args: argparse.Namespace) -> List[dict]:
    """One row for each way of asking."""
    path = osp.join(args.data, 'voc2012_train_aug_cls.txt')
    if not osp.isfile(path):
        raise InputError(f'{path}: no such list; set --data')
    labels = [record.labels for record in read_image_list(path).records]
    sets = [set(ids) for ids in labels]
    index = LabelIndex(labels, 20)
    rng = np.random.default_rng(args.seed)
    few = rng.permutation(len(labels))[:ANCHORS]
    everyone = np.arange(len(labels))
    dice = random.Random(args.seed)
    number = GROUP_SIZE - 1

    def partners(anchors: Sequence[int]) -> np.ndarray:
        return index.partners(anchors, number, 'exact', args.seed)

    calls = dict(
        peer=lambda: [peer_partners(sets, i, number, dice) for i in few],
        epoch=lambda: partners(everyone),
        chunks=lambda: [
            partners(everyone[i:i + CHUNK])
            for i in range(0, len(labels), CHUNK)
        ],
        single=lambda: [partners([i]) for i in few])
    times = paired(calls, args.repeats)
    return [{
        'how': title,
        'groups a second': groups / seconds(times[name]),
        'times faster':
        groups / ANCHORS * ratio(times['peer'], times[name]),
        'times': times[name]
    } for name, title, groups in (
        ('peer', 'redrawing, as released', ANCHORS),
        ('epoch', 'an epoch in one call', len(labels)),
        ('chunks', 'calls of 4,096 anchors', len(labels)),
        ('single', 'one anchor a call', ANCHORS),
    )]  # yapf: disable
