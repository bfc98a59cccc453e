# Copyright (c) group_wsss contributors. All rights reserved.
"""Label images from the annotations of instances."""
from typing import Sequence, Tuple

import numpy as np

from ...structures.label_image import IGNORE_INDEX

OVERLAPS = ('small-over-large', 'annotation-order')
CROWD_PIXELS = ('unknown', 'class', 'background')


def paint_instances(shape: Tuple[int, int],
                    covers: Sequence[np.ndarray],
                    labels: Sequence[int],
                    crowds: Sequence[bool],
                    overlap: str = 'small-over-large',
                    crowd: str = 'unknown') -> np.ndarray:
    """Paint the instances of an image into one label image.

    Args:
        shape (tuple[int, int]): Height and width.
        covers (Sequence[np.ndarray]): bool ``(H, W)``, one an instance.
        labels (Sequence[int]): 0-based class ids.
        crowds (Sequence[bool]): Which of them are crowds.
        overlap (str): Who owns pixels that several cover:
            'small-over-large', the one with fewest pixels, of equal ones the
            last; or 'annotation-order', the last. Crowds take part. Defaults
            to 'small-over-large'.
        crowd (str): What crowds become: 'unknown' (255), 'class' like
            anybody else, or 'background', that is nothing. Defaults to
            'unknown'.

    Returns:
        np.ndarray: uint8 ``(H, W)``, 0 background, class id + 1, 255.
    """
    assert overlap in OVERLAPS and crowd in CROWD_PIXELS
    order = list(range(len(covers)))
    if overlap == 'small-over-large':
        # stable: of equal ones the last remains on top
        order.sort(key=lambda place: -np.count_nonzero(covers[place]))
    label = np.zeros(shape, np.uint8)
    for place in order:
        value = labels[place] + 1
        if crowds[place] and crowd != 'class':
            if crowd == 'background':
                continue
            value = IGNORE_INDEX
        label[covers[place]] = value
    return label
