# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Callable, Optional, Sequence, Union

import numpy as np

from ...registry import TASK_UTILS
from ...structures.score_map import ScoreMap
from .base import BaseRefiner

Image = Union[np.ndarray, Callable[[], np.ndarray], None]


class Refiners:
    """The steps of a ``refiners`` list, run in order.

    Args:
        refiners (Sequence[dict | BaseRefiner], optional): Configs or
            refiners. None and an empty list change nothing.
    """

    def __init__(
            self,
            refiners: Optional[Sequence[Union[dict,
                                              BaseRefiner]]] = None) -> None:
        self.steps = [
            step if callable(step) else TASK_UTILS.build(step)
            for step in refiners or ()
        ]

    @property
    def needs_image(self) -> bool:
        """bool: Whether any step reads the image."""
        return any(getattr(step, 'needs_image', True) for step in self.steps)

    def __call__(self, score_map: ScoreMap, image: Image = None) -> ScoreMap:
        """Run all steps.

        Args:
            score_map (ScoreMap): Of any size.
            image (np.ndarray | Callable, optional): uint8 RGB
                ``(H, W, 3)``, or a function that loads it, called at most
                once and only if a step reads pixels.

        Returns:
            ScoreMap: Of the same image and classes.
        """
        if callable(image):
            image = image() if self.needs_image else None
        for step in self.steps:
            score_map = step(score_map, image)
        return score_map
