# Copyright (c) group_wsss contributors. All rights reserved.
"""The released algorithm, written plainly: what the speed tables compare with.

Derived from the equations and choices in docs/method.md: one group at a time,
a backbone call for each image, a loop over pairs, attention matrices as a
whole, redrawing until a group fits, and labels image by image from one PNG for
each class map. It reads the weights of our modules, so that both compute the
same numbers; tests/test_tools/test_speed_peer.py compares them.
"""
import os.path as osp
import random
from typing import List, Optional, Sequence, Set

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

# redraws until the released code takes any image with a class in common
MAX_DRAWS = 1000


def peer_message(layer: nn.Module, receiver: Tensor, sender: Tensor) -> Tensor:
    """Gated message between two images, ``(1, C, H, W)`` each."""
    height, width = receiver.shape[2:]
    query = layer.query(receiver).flatten(2)
    key = layer.key(sender).flatten(2)
    if layer.normalize:
        query, key = F.normalize(query, dim=1), F.normalize(key, dim=1)
    # positions of the receiver x positions of the sender, as a whole
    energy = torch.bmm(query.transpose(1, 2), key) * layer.scale
    attention = F.softmax(energy, dim=2)
    message = torch.bmm(sender.flatten(2), attention.transpose(1, 2))
    message = message.view(1, -1, height, width)
    if layer.gate is not None:
        message = message * torch.sigmoid(layer.gate(message))
    return message


def peer_update(gru: nn.Module, message: Tensor, state: Tensor) -> Tensor:
    """Convolutional GRU as its formulas read."""
    both = torch.cat([message, state], 1)
    update = torch.sigmoid(gru.update_gate(both))
    reset = torch.sigmoid(gru.reset_gate(both))
    candidate = torch.tanh(
        gru.candidate(torch.cat([message, reset * state], 1)))
    return (1 - update) * state + update * candidate


def peer_dropout(layer: nn.Module, state: Tensor) -> Tensor:
    """Graph dropout with a coin for this node."""
    attention = state.mean(1, keepdim=True)
    if random.random() < layer.drop_prob:
        select = (attention
                  < layer.drop_threshold * attention.max()).to(state.dtype)
    else:
        select = torch.sigmoid(attention)
    return (state * select + state) / 2


def peer_graph(neck: nn.Module, states: Sequence[Tensor]) -> List[Tensor]:
    """T rounds between the images ``(1, C, H, W)`` of one group."""
    first, states = list(states), list(states)
    if neck.reduce is not None:
        states = [neck.reduce(state) for state in states]
    for _ in range(neck.num_steps):
        new = []
        for i, state in enumerate(states):
            messages = [
                peer_message(neck.coattention, state, sender)
                for j, sender in enumerate(states) if j != i
            ]
            if neck.merge is not None:
                message = neck.merge(torch.cat(messages, 1))
            else:
                message = sum(messages)
                if neck.aggregation == 'mean':
                    message = message / len(messages)
            state = peer_update(neck.gru, message, state)
            if neck.dropout is not None:
                state = peer_dropout(neck.dropout, state)
            new.append(state)
        states = new
    if neck.expand is not None:
        states = [x + neck.expand(state) for x, state in zip(first, states)]
    return states


def peer_maps(model: nn.Module, images: Sequence[Tensor]) -> tuple:
    """Class maps of one group before and after the graph, one by one."""
    feats = [model.backbone(image)[-1] for image in images]
    before = [model.neck.project(feat) for feat in feats]
    after = peer_graph(model.neck, before)
    own = model.head.graph_classifier or model.head.classifier
    return ([model.head.classifier(state)
             for state in before], [own(state) for state in after])


def peer_loss(model: nn.Module, before: Sequence[Tensor],
              after: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Multi-label loss of both branches, ``targets`` ``(K, C)``."""
    total = 0
    for maps, weight in ((before, model.head.cam_weight),
                         (after, model.head.graph_weight)):
        for logits, target in zip(maps, targets):
            total = total + weight / len(maps) * (
                F.multilabel_soft_margin_loss(
                    logits.mean((2, 3)), target[None]))
    return total


def peer_partners(labels: Sequence[Set[int]], anchor: int, size: int,
                  rng: random.Random) -> List[int]:
    """Redraw until the label set is the same; count on luck, as released.

    The anchor itself may be among the ``size`` partners.
    """
    partners = []
    for _ in range(size):
        for _ in range(MAX_DRAWS):
            other = rng.randrange(len(labels))
            if labels[other] == labels[anchor]:
                break
        else:
            shared = rng.choice(sorted(labels[anchor]))
            while shared not in labels[other]:
                other = rng.randrange(len(labels))
        partners.append(other)
    return partners


def peer_write_maps(folder: str, img_id: str, class_ids: Sequence[int],
                    maps: np.ndarray) -> None:
    """One grey PNG for each class map, merged with an earlier one."""
    for class_id, one in zip(class_ids, maps):
        one = np.maximum(one, 0)
        one = one / max(one.max(), 1e-12) * 255
        path = osp.join(folder, f'{img_id}_{class_id}.png')
        if osp.isfile(path):
            one = np.maximum(one, np.asarray(Image.open(path)))
        Image.fromarray(one.astype(np.uint8)).save(path)


def peer_label(img_id: str,
               shape: Sequence[int],
               class_ids: Sequence[int],
               num_classes: int,
               threshold: float,
               palette: np.ndarray,
               target: str,
               folder: Optional[str] = None,
               maps: Optional[np.ndarray] = None) -> np.ndarray:
    """Label image of one image, all classes at the size of the image.

    Class maps are ``maps``, or files that ``peer_write_maps`` has left.
    """
    scores = np.zeros((num_classes + 1, *shape), np.float32)
    scores[0] = threshold
    for i, class_id in enumerate(class_ids):
        if maps is None:
            path = osp.join(folder, f'{img_id}_{class_id}.png')
            one = np.asarray(Image.open(path)).astype(np.float32)
        else:
            one = np.maximum(maps[i], 0)
        one = torch.from_numpy(one / max(one.max(), 1e-12))[None, None]
        scores[class_id + 1] = F.interpolate(
            one, size=tuple(shape), mode='bilinear', align_corners=False)[0, 0]
    label = scores.argmax(0).astype(np.uint8)
    image = Image.fromarray(label, mode='P')
    image.putpalette(palette.tobytes())
    image.save(target)
    return label
