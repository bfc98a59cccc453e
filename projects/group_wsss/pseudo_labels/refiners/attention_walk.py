# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional, Union

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from ...registry import TASK_UTILS
from ...structures.score_map import resize_maps
from ...utils.errors import InputError
from ..features import BackboneFeatures
from ..options import check_options
from .base import BaseRefiner

AFFINITIES = ('features', 'attention')


@TASK_UTILS.register_module()
class AttentionWalk(BaseRefiner):
    """Spread class maps over positions whose features are alike.

    The affinities come from the backbone of stage 1 as it is, so that no
    second network is trained. All positions of an image are compared, near
    or far, by :func:`feature_affinity` or by the attention of a transformer
    (CLIP-ES), and the maps follow by :func:`attention_walk`. A map then gets
    back the peak that it had, so that classes stay comparable. ::

        dict(
            type='group_wsss.AttentionWalk',
            config='configs/group_wsss/effnet-lite0_voc-layout.py',
            checkpoint='work_dirs/group_wsss/iter_250.pth')

    Args:
        config (str | dict): Config of stage 1, or its path.
        checkpoint (str): Its weights; read without running code.
        affinity (str): ``'features'``, or ``'attention'`` of a backbone that
            gives it (``DenseCLIP``). Defaults to ``'features'``.
        shift (float): Cosines below so many times their mean in the image
            count as unlike. Defaults to 1.2.
        scale (float): Factor of the cosines in the softmax. Defaults to 3.
        rounds (int): Rounds of Sinkhorn's normalisation. Defaults to 3.
        box_share (float, optional): A class is read only in the boxes around
            what exceeds this share of its peak. Defaults to None, everywhere.
        max_cells (int): A feature map of more positions is averaged to fewer:
            memory grows with their square, 64 MiB a matrix at 4096. Attention
            maps of more are refused. Defaults to 4096.
        device (str, optional): Of the backbone. Defaults to None, a GPU if
            there is one.

    Raises:
        InputError: A file is missing or does not fit, or an option has a
            value that it cannot have.
    """

    def __init__(self,
                 config: Union[str, dict],
                 checkpoint: str,
                 affinity: str = 'features',
                 shift: float = 1.2,
                 scale: float = 3.0,
                 rounds: int = 3,
                 box_share: Optional[float] = None,
                 max_cells: int = 4096,
                 device: Optional[str] = None) -> None:
        check_options(
            'AttentionWalk',
            affinity=(affinity, affinity
                      in AFFINITIES, f'one of {AFFINITIES}'),
            shift=(shift, shift >= 0, '>= 0'),
            scale=(scale, scale > 0, '> 0'),
            rounds=(rounds, rounds >= 1, '>= 1'),
            box_share=(box_share, box_share is None
                       or 0 <= box_share < 1, 'in [0, 1)'),
            max_cells=(max_cells, max_cells >= 1, '>= 1'))
        self.affinity = affinity
        self.shift = shift
        self.scale = scale
        self.rounds = rounds
        self.box_share = box_share
        self.max_cells = max_cells
        self.features = BackboneFeatures(config, checkpoint, device)

    @property
    def supervision(self) -> str:  # type: ignore[override]
        """str: What the backbone knows beside tags."""
        return self.features.supervision

    def refine(self, maps: np.ndarray, image: Any = None) -> np.ndarray:
        """See :class:`BaseRefiner`; the result has the features' grid."""
        if self.affinity == 'attention':
            affinity, size = self.features.attention(image)
            if len(affinity) > self.max_cells:
                raise InputError(
                    f'attention maps of {size[0]} x {size[1]} positions are '
                    f'more than max_cells={self.max_cells} of AttentionWalk')
        else:
            features = fewer_cells(self.features(image), self.max_cells)
            size = features.shape[1:]
            affinity = feature_affinity(features, self.shift, self.scale)
        maps = resize_maps(maps, (size[0], size[1]))
        walked = attention_walk(maps, affinity, self.rounds, self.box_share)
        peaks = walked.max(axis=(1, 2), keepdims=True)
        walked *= maps.max(
            axis=(1, 2), keepdims=True) / np.where(peaks > 0, peaks, 1)
        return np.clip(walked, 0, 1)


def fewer_cells(features: np.ndarray, max_cells: int) -> np.ndarray:
    """Average features ``(C, h, w)`` over a grid of at most so many cells."""
    height, width = features.shape[1:]
    if height * width <= max_cells:
        return features
    shrink = (max_cells / (height * width))**0.5
    rows = max(int(height * shrink), 1)
    columns = max(min(int(width * shrink), max_cells // rows), 1)
    rows = min(rows, max_cells // columns)
    return F.adaptive_avg_pool2d(torch.from_numpy(features),
                                 (rows, columns)).numpy()


def feature_affinity(features: np.ndarray,
                     shift: float = 1.2,
                     scale: float = 3.0) -> np.ndarray:
    """Affinities of all pairs of positions by the cosine of their features.

    ``softmax_q((cos(f_p, f_q) - shift * mean) * scale)`` with the mean over
    all pairs; pairs of which the difference is negative have none (the rule
    of ProxyCLIP, ECCV 2024). A position is always like itself.

    Args:
        features (np.ndarray): float32 ``(C, h, w)``.
        shift (float): Defaults to 1.2.
        scale (float): Defaults to 3.

    Returns:
        np.ndarray: float32 ``(h * w, h * w)``; rows sum to 1.
    """
    flat = features.reshape(len(features), -1)
    norms = np.linalg.norm(flat, axis=0)
    flat = flat / np.where(norms > 0, norms, 1)
    cosines = flat.T @ flat
    logits = (cosines - shift * cosines.mean()) * scale
    unlike = logits < 0
    np.fill_diagonal(unlike, False)
    logits[unlike] = -np.inf
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def attention_walk(maps: np.ndarray,
                   affinity: np.ndarray,
                   rounds: int = 3,
                   box_share: Optional[float] = None) -> np.ndarray:
    """Two steps of a walk over affinities that are made doubly stochastic.

    ``D``: columns, then rows of the affinities are divided by their sums,
    ``rounds`` times (Sinkhorn); ``D <- (D + D^T) / 2``; the result is
    ``D D a_c``, where ``a_c`` is 0 outside of its boxes (CLIP-ES, Lin et
    al., CVPR 2023).

    Args:
        maps (np.ndarray): float32 ``(n, h, w)``.
        affinity (np.ndarray): float32 ``(h * w, h * w)``, not negative, with
            a positive diagonal; attention maps will do.
        rounds (int): Defaults to 3.
        box_share (float, optional): Boxes surround each connected part of
            ``a_c > box_share * max(a_c)``. Defaults to None, no boxes.

    Returns:
        np.ndarray: float32 ``(n, h, w)``.
    """
    for _ in range(rounds):
        affinity = affinity / affinity.sum(axis=0, keepdims=True)
        affinity = affinity / affinity.sum(axis=1, keepdims=True)
    affinity = (affinity + affinity.T) / 2
    if box_share is not None:
        maps = np.stack([one * in_boxes(one, box_share) for one in maps])
    # symmetric; twice a map is cheaper than the square of the matrix
    flat = maps.reshape(len(maps), -1).astype(np.float32)
    return (flat @ affinity @ affinity).reshape(maps.shape)


def in_boxes(one: np.ndarray, share: float) -> np.ndarray:
    """Boxes around the parts of a map above a share of its peak, bool."""
    strong = (one > share * one.max()).astype(np.uint8)
    boxes = np.zeros(one.shape, bool)
    stats = cv2.connectedComponentsWithStats(strong, connectivity=8)[2]
    for left, top, width, height, _ in stats[1:]:
        boxes[top:top + height, left:left + width] = True
    return boxes
