# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional, Tuple

import numpy as np

from ..structures.label_image import IGNORE_INDEX, read_index_png
from ..utils.errors import InputError


def read_mask(path: str,
              num_classes: int,
              shape: Optional[Tuple[int, int]] = None,
              ignore_index: int = IGNORE_INDEX,
              other: str = 'image') -> np.ndarray:
    """Read a mask and check that it fits.

    Args:
        path (str): Index PNG.
        num_classes (int): Background included.
        shape (tuple[int, int], optional): Height and width it must have.
            Defaults to None, any.
        ignore_index (int): The one value allowed beyond the classes.
            Defaults to 255.
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
    wrong = mask[(mask >= num_classes) & (mask != ignore_index)]
    if wrong.size:
        raise InputError(
            f'{path}: value {int(wrong[0])} is neither one of {num_classes} '
            f'classes nor {ignore_index}')
    return mask
