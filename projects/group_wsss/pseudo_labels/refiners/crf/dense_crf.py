# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Dict, Optional, Union

import numpy as np

from ....registry import TASK_UTILS
from ....structures.score_map import resize_maps
from ..background import BackgroundRefiner, remove_background
from .mean_field import check_crf, dense_crf


@TASK_UTILS.register_module()
class DenseCRF(BackgroundRefiner):
    """Class maps that follow the edges of the image.

    The maps, at the image's size, become probabilities with background
    (:func:`add_background`), these the unaries of :func:`dense_crf`, and its
    Q scores again (:func:`remove_background`): above 0.5 where a class beats
    the background. Only the classes of the image are solved.

    Args:
        num_iters to gt_prob: As of :func:`dense_crf`, like ``device``.
        bg_threshold (float | str): Score at which a class and background
            are equally likely, in (0, 1), or the name of a rule, see
            :class:`BackgroundRefiner`. Defaults to 0.35.
        bg_power (float, optional): Background is ``(1 - max_c s_c) **
            bg_power`` instead. Defaults to None.

    Raises:
        InputError: An option has a value that it cannot have.
    """

    def __init__(self,
                 num_iters: int = 10,
                 gaussian_sxy: float = 3.0,
                 gaussian_weight: float = 3.0,
                 bilateral_sxy: float = 80.0,
                 bilateral_srgb: float = 13.0,
                 bilateral_weight: float = 10.0,
                 unary: str = 'soft',
                 gt_prob: float = 0.7,
                 bg_threshold: Union[float, str] = 0.35,
                 bg_power: Optional[float] = None,
                 device: Optional[str] = None) -> None:
        self.options: Dict[str, Any] = dict(
            num_iters=num_iters,
            gaussian_sxy=gaussian_sxy,
            gaussian_weight=gaussian_weight,
            bilateral_sxy=bilateral_sxy,
            bilateral_srgb=bilateral_srgb,
            bilateral_weight=bilateral_weight,
            unary=unary,
            gt_prob=gt_prob)
        check_crf(**self.options)
        self.set_background(bg_threshold, bg_power)
        self.device = device

    def refine(self, maps: np.ndarray, image: Any = None) -> np.ndarray:
        """See :class:`BaseRefiner`; the result has the image's size."""
        if maps.shape[1:] != image.shape[:2]:
            maps = resize_maps(maps, image.shape[:2])
        probs = self.probabilities(maps)
        solved: Any = dense_crf(
            probs, image, device=self.device, **self.options)
        return remove_background(solved)
