# Copyright (c) group_wsss contributors. All rights reserved.
"""IoU of the pixels near contours, after Cheng et al., CVPR 2021."""
from typing import Tuple

import cv2
import numpy as np

from ..structures.label_image import IGNORE_INDEX


def boundary_band(label: np.ndarray, distance: int) -> np.ndarray:
    """Pixels near the contour of the region they belong to.

    A pixel is in the band if one of the ``(2 * distance + 1)`` squared cells
    around it has another value or lies outside of the image: what
    ``distance`` erosions of each region by a 3x3 square remove, for all
    regions at once.

    Args:
        label (np.ndarray): uint8 ``(H, W)``.
        distance (int): Width of the band in pixels, chessboard distance,
            1 or more.

    Returns:
        np.ndarray: bool ``(H, W)``.
    """
    assert distance >= 1, f'distance must be positive, got {distance}'
    window = np.ones((2 * distance + 1, ) * 2, np.uint8)
    border = cv2.BORDER_REPLICATE
    band = (
        cv2.erode(label, window, borderType=border)
        != cv2.dilate(label, window, borderType=border))
    for edge in (band[:distance], band[-distance:], band[:, :distance],
                 band[:, -distance:]):
        edge[...] = True
    return band


def boundary_counts(
        pred: np.ndarray,
        mask: np.ndarray,
        num_classes: int,
        dilation_ratio: float = 0.02) -> Tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator of the boundary IoU of each class.

    With ``G`` and ``P`` a class's region in the mask and in the prediction
    and ``G_d``, ``P_d`` their pixels within ``d`` of their own contour, the
    boundary IoU is ``|G_d & P_d| / |G_d | P_d|`` (Cheng et al., eq. 3); the
    edge of the image is a contour. Both counts add up over images, like
    those of the plain IoU.

    Pixels that the mask ignores are not counted and take the predicted
    value before contours are drawn: a prediction that is right wherever it
    is judged has 1, whatever it says elsewhere.

    Args:
        pred (np.ndarray): uint8 ``(H, W)``, 0..N-1 or 255 (unknown, which
            belongs to no class and has contours of its own).
        mask (np.ndarray): uint8 ``(H, W)``, 0..N-1 or 255 (not counted).
        num_classes (int): ``N``, background included.
        dilation_ratio (float): ``d`` over the image's diagonal; ``d`` is at
            least 1. Defaults to 0.02.

    Returns:
        tuple[np.ndarray, np.ndarray]: int64 ``(N, )`` pixels of the
        intersections and of the unions.
    """
    assert pred.shape == mask.shape, f'{pred.shape} against {mask.shape}'
    distance = max(1, round(dilation_ratio * float(np.hypot(*mask.shape))))
    valid = mask != IGNORE_INDEX
    truth = np.where(valid, mask, pred)
    near_pred = boundary_band(pred, distance) & valid
    near_truth = boundary_band(truth, distance) & valid

    def count(label: np.ndarray, where: np.ndarray) -> np.ndarray:
        return np.bincount(label[where], minlength=256)[:num_classes]

    both = count(truth, near_pred & near_truth & (pred == truth))
    return both, count(pred, near_pred) + count(truth, near_truth) - both
