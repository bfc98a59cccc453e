# Copyright (c) group_wsss contributors. All rights reserved.
"""Lay labels and class maps over an image."""
from typing import Optional

import numpy as np
from numpy.typing import ArrayLike

from ..structures import ScoreMap
from ..structures.label_image import voc_palette


def colours_of(palette: Optional[ArrayLike]) -> np.ndarray:
    """Give the colours of a painted label.

    Args:
        palette (Sequence, optional): RGB by label value.

    Returns:
        np.ndarray: float64 ``(256, 3)``, by label value; VOC's where the
        palette ends, 255 is white.
    """
    colours = voc_palette().astype(np.float64)
    if palette is not None:
        given = np.asarray(palette, dtype=np.float64)
        colours[:len(given)] = given
    colours[255] = 255
    return colours


def _dim(image: np.ndarray) -> np.ndarray:
    """The image in gray and darker, so that colours mean classes."""
    gray = image.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return np.repeat(0.75 * gray[..., None], 3, axis=2)


def _outlines(label: np.ndarray) -> np.ndarray:
    """Pixels of classes, or unknown ones, that touch another label."""
    edges = np.zeros(label.shape, dtype=bool)
    down, right = label[1:] != label[:-1], label[:, 1:] != label[:, :-1]
    edges[1:] |= down
    edges[:-1] |= down
    edges[:, 1:] |= right
    edges[:, :-1] |= right
    return edges & (label > 0)


def paint_label(label: np.ndarray,
                image: Optional[np.ndarray] = None,
                palette: Optional[ArrayLike] = None,
                alpha: float = 0.6) -> np.ndarray:
    """Classes of a label image in their colours, with outlines.

    Args:
        label (np.ndarray): uint8 ``(H, W)``: 0 background, class id + 1, 255
            unknown (white).
        image (np.ndarray, optional): RGB uint8 ``(H, W, 3)`` that shines
            through. Defaults to None, plain colours.
        palette (Sequence, optional): RGB by label value. Defaults to VOC's.
        alpha (float): Share of the colour over an image; outlines have
            all of it. Defaults to 0.6.

    Returns:
        np.ndarray: RGB uint8 ``(H, W, 3)``.
    """
    colours = colours_of(palette)
    if image is None:
        return colours.astype(np.uint8)[label]
    edges = _outlines(label)
    painted = np.empty((*label.shape, 3), dtype=np.uint8)
    # some rows at a time: eight bytes a number of a large image are many
    for top in range(0, len(label), 64):
        rows = slice(top, top + 64)
        share = np.where(label[rows] == 0, 0.0, alpha)
        share[edges[rows]] = 1
        share = share[..., None]
        mixed = _dim(image[rows]) * (1 - share) + colours[label[rows]] * share
        painted[rows] = mixed.round()
    return painted


def paint_scores(score_map: ScoreMap,
                 image: np.ndarray,
                 palette: Optional[ArrayLike] = None) -> np.ndarray:
    """Class maps as light in the colour of the strongest class.

    Args:
        score_map (ScoreMap): Of any size.
        image (np.ndarray): RGB uint8 ``(H, W, 3)``, the size of
            ``score_map.ori_shape``.
        palette (Sequence, optional): RGB by label value. Defaults to VOC's.

    Returns:
        np.ndarray: RGB uint8 ``(H, W, 3)``; the stronger the score the more
        colour.
    """
    score, label = score_map.resize().best()
    share = np.clip(score, 0, 1).astype(np.float64)[..., None]
    mixed = _dim(image) * (1 - share) + colours_of(palette)[label] * share
    return mixed.round().astype(np.uint8)
