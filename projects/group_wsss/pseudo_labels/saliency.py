# Copyright (c) group_wsss contributors. All rights reserved.
"""Reading of saliency maps, for the labeler and the refiner."""
from typing import Iterator

import numpy as np

from ..structures.label_image import open_image
from ..structures.score_map import ScoreMap
from ..utils.errors import InputError
from ..utils.files import output_path


def read_saliency(folder: str,
                  score_map: ScoreMap,
                  suffix: str = '.png') -> np.ndarray:
    """Saliency of an image, from ``<folder>/<img_id><suffix>``.

    Args:
        folder (str): Folder of saliency maps; grey or RGB, 8 bits, white is
            salient.
        score_map (ScoreMap): Gives the id and the size.
        suffix (str): Ending of the file names. Defaults to ``'.png'``.

    Returns:
        np.ndarray: float32 ``(H, W)`` in [0, 1].

    Raises:
        InputError: The file is missing, unreadable, of another size or
            neither grey nor RGB.
    """
    path = output_path(folder, score_map.img_id, suffix)
    image = open_image(path)
    if image.mode not in ('L', 'RGB'):
        raise InputError(f'{path}: a saliency map is 8-bit grey or RGB, '
                         f'not mode {image.mode}')
    if image.size[::-1] != score_map.ori_shape:
        raise InputError(
            f'{path}: saliency map of {image.size[::-1]} pixels (height, '
            f'width) for an image of {score_map.ori_shape}')
    return np.asarray(image.convert('L'), dtype=np.float32) / 255


def min_max(score_map: ScoreMap) -> Iterator[np.ndarray]:
    """Stretch each map to [0, 1] over the image, one at a time.

    Args:
        score_map (ScoreMap): Of any size.

    Yields:
        np.ndarray: float32 ``(H, W)``; a constant map is 0.
    """
    for one in score_map.full_maps():
        low = one.min()
        span = one.max() - low
        yield (one - low) / (span if span > 0 else np.float32(1))
