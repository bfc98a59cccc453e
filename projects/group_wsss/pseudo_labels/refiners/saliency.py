# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any

import numpy as np

from ...registry import TASK_UTILS
from ...structures.score_map import ScoreMap, resize_maps
from ...utils.errors import InputError
from ..options import check_options
from ..saliency import read_saliency
from .base import BaseRefiner


@TASK_UTILS.register_module()
class Saliency(BaseRefiner):
    """Mean of class score and saliency.

    With ``s`` in [0, 1] the saliency and ``a_c`` the maps at image size, the
    score of a class is ``(1 - weight) * a_c + weight * s``: the order of
    classes is that of the maps, and a pixel is foreground where map and
    saliency together are strong enough. The labeler behind it chooses the
    threshold, such as ``ThresholdLabeler(bg_threshold='otsu')``. The released
    rules are ``SaliencyLabeler``.

    Saliency is more than tags: the manifest has an ``S``.

    Args:
        saliency_dir (str): Folder of saliency maps, found as
            ``<saliency_dir>/<img_id><suffix>``; grey or RGB, 8 bits, white
            is salient, of the size of the image, as
            ``tools/make_saliency.py`` writes them.
        suffix (str): Ending of the file names. Defaults to ``'.png'``.
        weight (float): Share of the saliency in the mean, in [0, 1]. Defaults
            to 0.5.

    Raises:
        InputError: If ``weight`` is out of its range.
    """

    needs_image = False
    supervision = 'S'

    def __init__(self,
                 saliency_dir: str,
                 suffix: str = '.png',
                 weight: float = 0.5) -> None:
        check_options(
            'Saliency', weight=(weight, 0 <= weight <= 1, 'in [0, 1]'))
        self.saliency_dir = saliency_dir
        self.weight = weight
        self.suffix = suffix

    def refine(self, maps: np.ndarray, image: Any = None) -> np.ndarray:
        """See :class:`BaseRefiner`, with saliency in the image's place.

        Args:
            maps (np.ndarray): Resized to the saliency map.
            image (np.ndarray): Saliency, float ``(H, W)`` in [0, 1].

        Raises:
            InputError: No such map.
        """
        if getattr(image, 'ndim', 0) != 2 or image.dtype.kind != 'f':
            raise InputError('Saliency finds its file by the image id: call '
                             'it with a ScoreMap, or refine with a float '
                             'saliency map (H, W) in place of the image')
        maps = resize_maps(maps, image.shape)
        weight = np.float32(self.weight)
        return (1 - weight) * maps + weight * image.astype(np.float32)

    def refined(self, score_map: ScoreMap, image: Any = None) -> np.ndarray:
        """With the saliency map of its id, see :func:`read_saliency`."""
        saliency = read_saliency(self.saliency_dir, score_map, self.suffix)
        return self.refine(score_map.maps, saliency)
