# Copyright (c) group_wsss contributors. All rights reserved.
"""An epoch of stage 1 against the peer, from JPEG files to class maps.

Both pass over the same anchors with K = 3, read the same number of
images, keep the anchors' maps and start from the same weights. The graph
is that of configs/group_wsss/reference.py.
"""
import argparse
import copy
import os.path as osp
import random
import tempfile
from functools import partial
from itertools import islice
from typing import Dict, List, Optional

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.registry import init_default_scope
from peer import peer_loss, peer_maps, peer_partners, peer_write_maps
from PIL import Image
from results import ROOT
from speed_common import paired, ratio, seconds, without_weights
from torch import nn
from torch.utils.data import DataLoader

from group_wsss.datasets import GroupBatchSampler, VOCImageLevel, group_collate
from group_wsss.registry import MODELS
from group_wsss.structures import ScoreMap
from group_wsss.utils.errors import InputError

REPEATS = 2
ANCHORS, GROUP_SIZE, GROUPS_A_BATCH, SIDE = 12, 3, 4, 256
CONFIGS = osp.join(ROOT, 'configs')


def build(name: str, cached: bool, num_convs: int = 0) -> nn.Module:
    """The released graph on a backbone; frozen and cached if asked for."""
    init_default_scope('group_wsss')
    released = Config.fromfile(
        osp.join(CONFIGS, 'group_wsss', 'reference.py')).model
    model = Config.fromfile(
        osp.join(CONFIGS, '_base_', 'models', f'{name}.py')).model
    width = model.neck.in_channels
    model.neck = released.neck
    model.neck.update(in_channels=width, group_size=GROUP_SIZE)
    model.neck.projection.num_convs = num_convs
    model.update(
        data_preprocessor=dict(mean=[127.] * 3, std=[128.] * 3, to_rgb=True))
    model.head.update(in_channels=None, cam_weight=0.2, graph_weight=0.5)
    without_weights(model)
    if cached:
        model.freeze_backbone = True
        model.backbone = dict(
            type='group_wsss.FeatureCache', backbone=model.backbone)
    model = MODELS.build(model)
    model.init_weights()
    return model.train()


class Ours:
    """Flat batches of whole groups through one backbone call."""

    def __init__(self,
                 model: nn.Module,
                 data: VOCImageLevel,
                 seed: int,
                 bfloat16: bool = False) -> None:
        sampler = DefaultSampler(data, False, seed)
        self.loader = DataLoader(
            data,
            batch_sampler=GroupBatchSampler(
                sampler, GROUPS_A_BATCH * GROUP_SIZE, group_size=GROUP_SIZE),
            collate_fn=partial(group_collate, group_size=GROUP_SIZE))
        self.model = model
        self.model.attach_class_maps = True
        self.bfloat16 = bfloat16
        self.optimizer = torch.optim.SGD(model.parameters(), 1e-5)
        self.maps: Dict[str, ScoreMap] = {}

    def __call__(self) -> None:
        for batch in islice(self.loader, ANCHORS // GROUPS_A_BATCH):
            batch = self.model.data_preprocessor(batch, True)
            with torch.autocast('cpu', torch.bfloat16, enabled=self.bfloat16):
                losses = self.model(**batch, mode='loss')
            self.optimizer.zero_grad()
            sum(losses.values()).backward()
            self.optimizer.step()
            for sample in batch['data_samples'][::GROUP_SIZE]:
                new = ScoreMap.from_sample(sample)
                old = self.maps.get(new.img_id)
                self.maps[new.img_id] = old.merge_max(new) if old else new


class Peer:
    """One group at a time, as released."""

    def __init__(self, model: nn.Module, data: VOCImageLevel, seed: int,
                 folder: str) -> None:
        self.model, self.data, self.folder = model, data, folder
        self.labels = [set(data.get_cat_ids(i)) for i in range(len(data))]
        self.rng = random.Random(seed)
        self.optimizer = torch.optim.SGD(model.parameters(), 1e-5)

    def load(self, index: int) -> torch.Tensor:
        """Open, resize, scale."""
        image = Image.open(self.data.get_data_info(index)['img_path'])
        image = image.convert('RGB').resize((SIDE, SIDE), Image.BILINEAR)
        pixels = np.asarray(image, np.float32)
        return torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)[None]

    def __call__(self) -> None:
        for anchor in range(ANCHORS):
            group = [anchor] + peer_partners(self.labels, anchor,
                                             GROUP_SIZE - 1, self.rng)
            before, after = peer_maps(self.model,
                                      [self.load(i) for i in group])
            targets = torch.zeros(GROUP_SIZE, self.model.head.num_classes)
            for row, image in zip(targets, group):
                row[list(self.labels[image])] = 1
            self.optimizer.zero_grad()
            peer_loss(self.model, before, after, targets).backward()
            self.optimizer.step()
            ids = sorted(self.labels[anchor])
            maps = (before[0] + after[0]).detach()[0, ids] / 2
            peer_write_maps(self.folder, str(anchor), ids, maps.numpy())


def measure(args: argparse.Namespace) -> List[dict]:
    """A row for each backbone, and one for a frozen one."""
    root = osp.join(args.data, 'coco540')
    if not osp.isdir(root):
        raise InputError(f'{root}: no such folder; set --data')
    init_default_scope('mmpretrain')
    data = VOCImageLevel(
        data_root=root,
        ann_file='ImageSets/train_voc20_cls.txt',
        data_prefix='JPEGImages',
        pipeline=[
            dict(type='group_wsss.LoadImage'),
            dict(type='Resize', scale=(SIDE, SIDE), keep_ratio=False),
            dict(
                type='PackInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape'))
        ])
    rows = []
    cases = [('EfficientNet-Lite0', 'group_cam_effnet-lite0', False),
             ('ResNet-50', 'group_cam_r50', False),
             ('EfficientNet-Lite0, frozen, features kept: from the second '
              'epoch on', 'group_cam_effnet-lite0', True)]
    if args.full:
        cases.append(('VGG16', 'group_cam_vgg16-os8', False))
    for title, name, cached in cases:
        model = build(name, cached)
        other = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
        calls = {'ours': Ours(model, data, args.seed)}
        if cached:  # frozen, but nothing is kept
            other.backbone = other.backbone.backbone
        else:
            calls['half'] = Ours(
                copy.deepcopy(model), data, args.seed, bfloat16=True)
        with tempfile.TemporaryDirectory() as folder:
            calls['peer'] = Peer(other, data, args.seed, folder)
            times = paired(calls, args.repeats)
        number = ANCHORS * GROUP_SIZE

        def faster(name: str) -> Optional[float]:
            return ratio(times['peer'], times[name]) if name in times else None

        rows.append({
            'backbone': title,
            'ours, ms an image': 1000 * seconds(times['ours']) / number,
            'peer': 1000 * seconds(times['peer']) / number,
            'ours is faster by': faster('ours'),
            'in bfloat16': faster('half'),
            'times': times
        })
        print(title, f'{rows[-1]["ours is faster by"]:.2f}', flush=True)
    return rows
