# Copyright (c) group_wsss contributors. All rights reserved.
"""The one road from class maps to label images."""
from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

from ..structures.score_map import ScoreMap
from ..utils.classes import require_same_classes, without_background
from .refiners import Refiners
from .thresholds import NUM_BINS, score_histogram


class LabelPipeline:
    """Refiners, then the labeler, for one image at a time.

    A step whose threshold follows from the scores of all images (its
    ``rule`` is not None) is a stop: images wait in front of it until
    :meth:`fit` has seen the scores of all. The caller decides where they
    wait: in memory (:class:`~group_wsss.apis.GroupCAMInferencer`) or on disk
    (:class:`~group_wsss.pseudo_labels.LabelDump`). Without such a step
    nothing ever waits.

    Args:
        labeler (Callable): Score map to label, such as a
            ``ThresholdLabeler``.
        refiners (Refiners, optional): Defaults to None.
        classes (Sequence[str], optional): Names of the labels' classes,
            which a network that a refiner asks must have too. Defaults to
            None, unknown.

    Raises:
        InputError: It has others.
    """

    def __init__(self,
                 labeler: Callable[[ScoreMap], np.ndarray],
                 refiners: Optional[Refiners] = None,
                 classes: Optional[Sequence[str]] = None) -> None:
        self.labeler = labeler
        # every part but the first begins with a step that has to wait
        self.parts: List[list] = [[]]
        for step in [*(refiners.steps if refiners else ()), labeler]:
            names = getattr(step, 'classes', None)
            if names and classes:
                require_same_classes(classes, 'the labels',
                                     without_background(names),
                                     step.checkpoint)
            if getattr(step, 'rule', None) is not None:
                self.parts.append([])
            self.parts[-1].append(step)
        self.resume([])

    @property
    def waits(self) -> bool:
        """bool: Whether a step is left that needs the scores of all."""
        return len(self.thresholds) + 1 < len(self.parts)

    @property
    def supervision(self) -> str:
        """str: Letters of ``Manifest.supervision`` that the steps add."""
        return ''.join(
            getattr(step, 'supervision', '') for part in self.parts
            for step in part)

    def advance(self,
                score_map: ScoreMap,
                image: Any = None) -> Tuple[ScoreMap, Optional[np.ndarray]]:
        """Bring an image to the next stop, or to its label.

        Args:
            score_map (ScoreMap): As the stop before has left it.
            image (np.ndarray | Callable, optional): The image, uint8 RGB
                ``(H, W, 3)``, or a function that loads it. Defaults to
                None.

        Returns:
            tuple: The refined score map, and the label, uint8 ``(H, W)``;
            None instead of a label while a stop is ahead.
        """
        steps = self.parts[len(self.thresholds)]
        if self.waits:
            return Refiners(steps)(score_map, image), None
        score_map = Refiners(steps[:-1])(score_map, image)
        return score_map, self.labeler(score_map)

    def count(self, score_map: ScoreMap) -> None:
        """Let the scores of an image that waits take part in the choice.

        Args:
            score_map (ScoreMap): As :meth:`advance` gave it.
        """
        self.histogram += score_histogram(score_map)

    def fit(self, histogram: np.ndarray) -> None:
        """Choose the threshold of the step that images wait for.

        Args:
            histogram (np.ndarray): Sum of ``histogram`` over all processes,
                int64 ``(NUM_BINS, )``.
        """
        step = self.parts[len(self.thresholds) + 1][0]
        self.resume([*self.thresholds, step.fit(histogram)])

    def resume(self, thresholds: Sequence[float]) -> None:
        """Go on behind as many stops as there are thresholds.

        Args:
            thresholds (Sequence[float]): In the order of the steps.
        """
        self.thresholds: List[float] = list(thresholds)
        self.histogram = np.zeros(NUM_BINS, dtype=np.int64)
        for threshold, part in zip(self.thresholds, self.parts[1:]):
            part[0].bg_threshold = threshold
