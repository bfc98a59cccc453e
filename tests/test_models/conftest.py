# Copyright (c) group_wsss contributors. All rights reserved.
"""A small GroupCAM, and samples in groups."""
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
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


def plain_pool(image, size, valid):
    """Means over the cells of a grid, cell by cell; image ``(C, H, W)``."""
    c, h, w = image.shape
    rows, columns = min(size, h), min(size, w)
    out = image.new_zeros(c, rows, columns)
    seen = torch.zeros(rows, columns, dtype=torch.bool)
    for y in range(rows):
        for x in range(columns):
            cell = (slice(y * h // rows, -(-(y + 1) * h // rows)),
                    slice(x * w // columns, -(-(x + 1) * w // columns)))
            seen[y, x] = valid[cell].any()
            if seen[y, x]:
                inside = image[(slice(None), *cell)][:, valid[cell]]
                out[:, y, x] = inside.mean(1)
    return out, seen


def plain_messages(layer, nodes, receiver, mask=None):
    """Messages ``(S, C, h, w)`` of co-attention to one image, pair by pair.

    Nodes are ``(C, h, w)`` each, of any size, masks ``(h, w)``.
    """
    if layer.whiten is None:
        queries, keys = ([conv(h[None])[0] for h in nodes]
                         for conv in (layer.query, layer.key))
    else:
        queries = keys = [layer.whiten(h[None])[0] for h in nodes]
    unit = F.normalize if layer.normalize else lambda x, dim: x
    scores, values = [], []
    for j in range(len(nodes)):
        if j == receiver and not layer.self_edge:
            continue
        seen = mask[j] if mask is not None else torch.ones_like(
            nodes[j][0], dtype=torch.bool)
        key, value = keys[j], nodes[j]
        if layer.pool_size is not None:
            value = plain_pool(value, layer.pool_size, seen)[0]
            key, seen = plain_pool(key, layer.pool_size, seen)
        score = layer.scale * torch.einsum(
            'dn,dm->nm', unit(queries[receiver].flatten(1), dim=0),
            unit(key.flatten(1), dim=0))
        scores.append(score.masked_fill(~seen.flatten(), -torch.inf))
        values.append(value.flatten(1))
    if layer.softmax == 'group':
        scores, values = [torch.cat(scores, 1)], [torch.cat(values, 1)]
    found = []
    for score, value in zip(scores, values):
        weight = score.exp() / score.exp().sum(1, keepdim=True)
        message = torch.einsum('nm,cm->cn', weight, value)
        message = message.view_as(nodes[receiver])
        if layer.gate is not None:
            message = message / (1 + torch.exp(-layer.gate(message[None])[0]))
        found.append(message)
    return torch.stack(found)


@pytest.fixture(autouse=True)
def same_numbers():
    """Each test draws the same."""
    torch.manual_seed(0)


@pytest.fixture
def make():
    """What stands above."""
    return SimpleNamespace(
        cam=cam,
        mixed=mixed,
        samples=samples,
        targets=targets,
        messages=plain_messages)
