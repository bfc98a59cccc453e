# Copyright (c) group_wsss contributors. All rights reserved.
from abc import ABCMeta, abstractmethod
from typing import Any, Optional

import numpy as np

from ...structures.score_map import ScoreMap
from ...utils.errors import InputError, NonFiniteError


class BaseRefiner(metaclass=ABCMeta):
    """A step that turns class maps into better class maps.

    A refiner is called with a score map, or by :meth:`refine` with arrays.
    Register it in ``TASK_UTILS`` and name it in the ``refiners`` list of a
    config; the steps of a list run in order.

    A step that reasons about background takes the score at which a class
    and background are equally likely, ``bg_threshold``, and returns
    ``p_c / (max_k p_k + p_background)``: from then on they are equal at 0.5,
    so that the label of the strongest score above 0.5 is the argmax over
    background and all classes, and any other threshold still means
    something. See :mod:`.background`.
    """

    # whether the pixels of the image are read
    needs_image = True
    # letters of `Manifest.supervision` for what it uses beside maps and image
    supervision = ''

    @abstractmethod
    def refine(self, maps: np.ndarray, image: Any = None) -> np.ndarray:
        """Refine the maps of one image.

        Args:
            maps (np.ndarray): float32 ``(n, h, w)`` in [0, 1], one for each
                class of the image, at any size; ``n`` is at least 1.
            image (np.ndarray, optional): The image, uint8 RGB
                ``(H, W, 3)``; None if ``needs_image`` is False.

        Returns:
            np.ndarray: float32 ``(n, h', w')`` in [0, 1].
        """

    def __call__(self,
                 score_map: ScoreMap,
                 image: Optional[np.ndarray] = None) -> ScoreMap:
        """Refine a score map.

        Args:
            score_map (ScoreMap): Of any size.
            image (np.ndarray, optional): The image, uint8 RGB
                ``(H, W, 3)``.

        Returns:
            ScoreMap: Of the same image and classes.

        Raises:
            InputError: The image is missing or of another size, or the
                result is not finite.
        """
        if self.needs_image:
            check_image(image, score_map)
        if not len(score_map.maps):
            return score_map
        return self.checked(score_map, self.refined(score_map, image))

    def refined(self, score_map: ScoreMap, image: Any = None) -> np.ndarray:
        """:meth:`refine`; overridden by a step that needs the id too."""
        return self.refine(score_map.maps, image)

    def checked(self, score_map: ScoreMap, maps: np.ndarray) -> ScoreMap:
        """Refined maps in place of those of a score map.

        Args:
            score_map (ScoreMap): What was refined.
            maps (np.ndarray): What :meth:`refine` made of its maps.

        Returns:
            ScoreMap: Of the same image and classes.

        Raises:
            NonFiniteError: They hold NaN or an infinity; image and refiner
                are named.
        """
        name = type(self).__name__
        assert maps.ndim == 3 and len(maps) == len(score_map.maps), (
            f'{name} turned maps {score_map.maps.shape} into {maps.shape}')
        if not np.isfinite(maps).all():
            raise NonFiniteError(f'{score_map.img_id}: {name} made NaN or '
                                 'infinity of its class maps')
        return ScoreMap(score_map.img_id, score_map.ori_shape,
                        score_map.class_ids, maps)


def check_image(image: Optional[np.ndarray], score_map: ScoreMap) -> None:
    """Refuse what is not the image of a score map, uint8 RGB."""
    if image is None:
        raise InputError(f'{score_map.img_id}: the refiner needs the image')
    if image.dtype != np.uint8 or image.shape != (*score_map.ori_shape, 3):
        raise InputError(f'{score_map.img_id}: the image is {image.dtype} '
                         f'{image.shape}, its score map wants uint8 '
                         f'{(*score_map.ori_shape, 3)}')
