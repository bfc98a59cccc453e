# Copyright (c) group_wsss contributors. All rights reserved.
"""Polygons and run lengths of COCO, as masks and back."""
from typing import Any, Dict

import numpy as np

from ..utils.errors import InputError

# of the larger side, in which a polygon may leave its image
_SLACK = 1


def check_segmentation(segmentation: Any, height: int, width: int) -> None:
    """Refuse what cannot be rasterised.

    pycocotools takes four numbers for a box, stops without a reason at five,
    and allots memory for every coordinate it is given.

    Args:
        segmentation (Any): Polygons, or RLE as counts or compressed.
        height (int): Of the image.
        width (int): Of the image.

    Raises:
        InputError: What is wrong; the message names no file.
    """
    if isinstance(segmentation, dict):
        if list(segmentation.get('size') or ()) != [height, width]:
            raise InputError(f'its RLE is of size {segmentation.get("size")}, '
                             f'the image of [{height}, {width}]')
        counts = segmentation.get('counts')
        if isinstance(counts, (str, bytes)):
            return  # pycocotools finds out
        if (not isinstance(counts, list)
                or any(type(n) is not int or n < 0 for n in counts)
                or sum(counts) != height * width):
            raise InputError('its RLE does not cover the image exactly')
        return
    if not isinstance(segmentation, list) or not segmentation:
        raise InputError('has no segmentation')
    side = max(height, width)
    for polygon in segmentation:
        if not isinstance(polygon, list) or any(
                type(value) not in (int, float) for value in polygon):
            raise InputError('has a polygon that is no list of numbers')
        if len(polygon) < 6 or len(polygon) % 2:
            raise InputError(f'has a polygon of {len(polygon)} numbers: at '
                             'least 6 are needed, and an even number')
        # NaN is in no range
        if not (-_SLACK * side <= min(polygon) and max(polygon)
                <= side + _SLACK * side and sum(polygon) == sum(polygon)):
            raise InputError('has a polygon far outside of the image, or NaN')


def _pycocotools_mask() -> Any:
    """The module, which is an extra."""
    try:
        from pycocotools import mask
    except ImportError:
        raise InputError('polygons and RLE of COCO need pycocotools: pip '
                         'install pycocotools') from None
    return mask


def decode_segmentation(segmentation: Any, height: int,
                        width: int) -> np.ndarray:
    """Rasterise a segmentation as pycocotools does.

    Args:
        segmentation (Any): See :func:`check_segmentation`.
        height (int): Of the image.
        width (int): Of the image.

    Returns:
        np.ndarray: bool ``(H, W)``.

    Raises:
        InputError: It cannot be, and the message names no file; or
            pycocotools is not installed.
    """
    mask_utils = _pycocotools_mask()
    check_segmentation(segmentation, height, width)
    rle = segmentation
    try:
        if isinstance(segmentation, list):
            rle = mask_utils.merge(
                mask_utils.frPyObjects(segmentation, height, width))
        elif isinstance(segmentation['counts'], list):
            rle = mask_utils.frPyObjects(segmentation, height, width)
        return mask_utils.decode(rle).astype(bool)
    except (ValueError, TypeError) as error:
        raise InputError(f'its segmentation cannot be decoded: '
                         f'{error}') from None


def encode_mask(mask: np.ndarray) -> Dict[str, Any]:
    """Encode a mask as a run length of COCO.

    Args:
        mask (np.ndarray): bool ``(H, W)``.

    Returns:
        dict: ``size`` (height, width) and ``counts``, a compressed text.

    Raises:
        InputError: pycocotools is not installed.
    """
    runs = _pycocotools_mask().encode(np.asfortranarray(mask, dtype=np.uint8))
    return dict(size=list(mask.shape), counts=runs['counts'].decode())
