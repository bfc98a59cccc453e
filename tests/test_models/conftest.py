# Copyright (c) group_wsss contributors. All rights reserved.
"""A small GroupCAM, and samples in groups."""
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample

LABELS = [[1, 3], [], [0], [4], [0, 2], [1]]


def cam(neck=(), head=(), logit=False, **kwargs):
    """Build a GroupCAM of 8 channels and 5 classes; ``neck`` may be None.

    ReCAM and SEAM where their options are given, logit nodes on demand.
    """
    torch.manual_seed(0)
    if neck is not None:
        neck = dict(
            type='group_wsss.CoAttentionGNN', in_channels=8, **dict(neck))
    if logit:
        neck['projection'] = {
            'num_convs': 0,
            'num_classes': 5,
            **neck.get('projection', {})
        }
    kinds = 'ReCAMHead' if 'recam' in head else 'GroupCAMHead', (
        'SEAMGroupCAM' if 'equivariance' in kwargs else 'GroupCAM')
    return MODELS.build({
        'type':
        f'group_wsss.{kinds[1]}',
        'backbone':
        nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6),
            nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1)),
        'neck':
        neck,
        'head': {
            'type': f'group_wsss.{kinds[0]}',
            'in_channels': None if logit else 8,
            'num_classes': 5,
            **dict(head)
        },
        **kwargs
    })


def mixed(coattention=(), **neck):
    """Options of one ungated round of whitened keys."""
    return {
        'num_steps': 1,
        'update': 'mix',
        'gamma_init': 0.7,
        'dropout': None,
        'coattention': {
            'key': 'whitened',
            'key_channels': 4,
            'normalize': True,
            'scale': 5.0,
            'gate': False,
            'softmax': 'group',
            **dict(coattention)
        },
        **neck
    }


def samples(k=1, labels=LABELS[:4]):
    """Samples in groups of ``k``, or in the slots given; None: in none."""
    out = [DataSample().set_gt_label(x) for x in labels]
    slots = [i % k for i in range(len(out))] if isinstance(k, int) else k
    for sample, slot in zip(out, slots or []):
        if slot is not None:
            sample.set_metainfo(dict(group_slot=slot))
    return out


def targets(labels=LABELS[:4]):
    """Multi-label targets of them."""
    out = torch.zeros(len(labels), 5)
    for row, ids in enumerate(labels):
        out[row, ids] = 1
    return out


@pytest.fixture
def make():
    """What stands above."""
    return SimpleNamespace(
        cam=cam, mixed=mixed, samples=samples, targets=targets, LABELS=LABELS)
