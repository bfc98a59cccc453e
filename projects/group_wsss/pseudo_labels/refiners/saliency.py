# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional

import numpy as np

from ...registry import TASK_UTILS
from ...structures.score_map import ScoreMap
from ...utils.errors import InputError
from ..saliency import min_max, read_saliency
from .base import BaseRefiner


@TASK_UTILS.register_module()
class Saliency(BaseRefiner):
    """Let classes compete with ``1 - saliency``, the released fusion.

    With ``s`` in [0, 1] the saliency and ``a_c`` the maps at image size,
    each min-max normalised over the image (a constant map is 0), the score
    of a class is ``a_c / (max_k a_k + 1 - s)``. For the strongest class this
    is ``p_c / (p_c + p_background)`` as with other refiners; the common
    divisor keeps the order of classes where ``s`` is 1, which ``a_c / (a_c +
    1 - s)`` does not.

    The label of the strongest score above 0.5 is then, bit for bit, the
    argmax of rule 1 of ``SaliencyLabeler``; the released code has no weight
    beside. Its rules 2 to 4 make pixels unknown, which is left to the
    labeler. Scores saved as a dump are float16, where the closest decisions
    are lost.

    Args:
        saliency_dir (str): Folder of saliency maps, found as
            ``<saliency_dir>/<img_id><suffix>``; grey or RGB, 8 bits, white
            is salient, of the size of the image.
        suffix (str): Ending of the file names. Defaults to ``'.png'``.
    """

    needs_image = False

    def __init__(self, saliency_dir: str, suffix: str = '.png') -> None:
        self.saliency_dir = saliency_dir
        self.suffix = suffix

    def fuse(self, maps: np.ndarray, saliency: np.ndarray) -> np.ndarray:
        """Scores of classes against a saliency map.

        Args:
            maps (np.ndarray): float32 ``(n, h, w)`` in [0, 1]; resized to
                the saliency map (bilinear) if of another size. ``n`` is at
                least 1.
            saliency (np.ndarray): float32 ``(H, W)`` in [0, 1].

        Returns:
            np.ndarray: float32 ``(n, H, W)`` in [0, 1].

        Raises:
            InputError: The saliency map is no float array of two
                dimensions, or the maps are not in [0, 1].
        """
        if saliency.ndim != 2 or saliency.dtype.kind != 'f':
            raise InputError('Saliency needs a float saliency map (H, W), got '
                             f'{saliency.dtype} {saliency.shape}')
        given = ScoreMap('maps', saliency.shape, range(len(maps)), maps)
        maps = min_max(given.resize().maps)
        background = 1 - saliency.astype(np.float32)
        best = maps.max(axis=0)
        total = best + background
        scores = np.divide(
            maps, total, out=np.zeros_like(maps), where=total > 0)
        # division rounds: a win or an order by one bit must not become a tie
        top = scores.max(axis=0)
        above_half = np.nextafter(np.float32(0.5), np.float32(1))
        top = np.where(best > background, np.maximum(top, above_half), top)
        below = np.nextafter(top, np.float32(0))
        return np.where(maps == best, top, np.minimum(scores, below))

    def refine(self, maps: np.ndarray, image: Any = None) -> np.ndarray:
        """:meth:`fuse`, with the saliency map in the image's place."""
        if image is None:
            raise InputError('Saliency finds its file by the image id: call '
                             'it with a ScoreMap, or fuse with two arrays')
        return self.fuse(maps, image)

    def __call__(self,
                 score_map: ScoreMap,
                 image: Optional[np.ndarray] = None) -> ScoreMap:
        """Fuse a score map with the saliency map of its id.

        Args:
            score_map (ScoreMap): Of any size.
            image (np.ndarray, optional): Not read.

        Returns:
            ScoreMap: At image size.

        Raises:
            InputError: The file is missing, unreadable, of another size or
                neither grey nor RGB.
        """
        if not len(score_map.maps):
            return score_map
        saliency = read_saliency(self.saliency_dir, score_map, self.suffix)
        return super().__call__(score_map, saliency)
