# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional, Tuple

import numpy as np

from ..structures.label_image import IGNORE_INDEX, check_values, read_index_png
from ..utils.errors import InputError

# a smaller share of ignored pixels is not worth a line
_NOTED = 0.01


def read_mask(path: str,
              num_classes: int,
              shape: Optional[Tuple[int, int]] = None,
              other: str = 'image') -> np.ndarray:
    """Read a mask and check that it fits.

    Args:
        path (str): Index PNG.
        num_classes (int): Background included; 255 is allowed as well.
        shape (tuple[int, int], optional): Height and width it must have.
            Defaults to None, any.
        other (str): What ``shape`` is that of, for the message. Defaults to
            ``'image'``.

    Returns:
        np.ndarray: uint8 ``(H, W)``.

    Raises:
        InputError: Unreadable, of another size, or with a value that is no
            class; names the file.
    """
    mask = read_index_png(path)
    if shape is not None and mask.shape != tuple(shape):
        raise InputError(f'{path}: {mask.shape} pixels (height, width), its '
                         f'{other} has {tuple(shape)}')
    check_values(mask, path, num_classes)
    return mask


def check_masks(folder: str,
                pixels: np.ndarray,
                ignored: int,
                ignore_index: int = IGNORE_INDEX) -> Optional[str]:
    """Refuse masks against which every prediction would be right.

    Args:
        folder (str): Where they lie, for the message.
        pixels (np.ndarray): Mask pixels of each class ``(N, )``, background
            first, over all masks.
        ignored (int): Mask pixels of the value ``ignore_index``.
        ignore_index (int): The value that is not counted. Defaults to 255.

    Returns:
        str or None: A sentence on the share that is ignored, if it is more
        than 1 %.

    Raises:
        InputError: No mask shows a class but background.
    """
    total = int(pixels.sum()) + ignored
    share = ignored / max(total, 1)
    text = (f'{100 * share:.1f} % of the mask pixels are {ignore_index} and '
            'were left out')
    if total and not pixels[1:].any():
        raise InputError(
            f'{folder}: no mask shows a class but background, {text}: masks '
            'hold 0 for background and the number of the class elsewhere '
            '(0/255 masks must be 0/1)')
    return text if share > _NOTED else None
