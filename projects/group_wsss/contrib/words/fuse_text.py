# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional

import numpy as np

from ...pseudo_labels.refiners.base import BaseRefiner
from ...registry import TASK_UTILS
from ...structures import Dump
from ...structures.score_map import ScoreMap, resize_maps
from ...utils.classes import require_same_classes
from ...utils.errors import InputError
from ...utils.files import read_json


@TASK_UTILS.register_module()
class FuseText(BaseRefiner):
    """Class maps of tags and of words, each heard where it is known to work.

    ``(1 - w_c) a_c + w_c t_c`` with the class map ``a_c``, the text map
    ``t_c`` and ``w_c = share * (AP_c - chance_c) / (1 - chance_c)``, at
    least 0: the average precision at which words find the tag, above that of
    chance, as ``CheckPrompts`` measured it. No mask is read. A class that its
    words do not find keeps its class map. The share is not measured.

    Args:
        text_dir (str): Dump of labels from words, with scores.
        prompts (str): ``prompts.json`` in the work dir of that test.
        share (float): Weight of the text map of a class that words find
            without fault. Defaults to 0.5.

    Raises:
        InputError: A file is missing or damaged, class names differ, or
            ``share`` is not in [0, 1].
    """

    needs_image = False

    def __init__(self,
                 text_dir: str,
                 prompts: str,
                 share: float = 0.5) -> None:
        if not 0 <= share <= 1:
            raise InputError(f'share of FuseText is {share}, must be in '
                             '[0, 1]')
        self.dump = Dump.open(text_dir)
        if self.dump.scores is None:
            raise InputError(f'{text_dir}: has no scores')
        try:
            found = read_json(prompts)
        except FileNotFoundError:
            raise InputError(f'{prompts}: no such file: it is in the work '
                             'dir of the test with words') from None
        try:
            rows = np.array([[row['AP'], row['chance']]
                             for row in found.values()], float)
            fits = rows.shape == (len(found), 2) and bool(
                ((rows >= 0) & (rows <= 100)).all())
        except (AttributeError, KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            raise InputError(f'{prompts}: not a file of CheckPrompts: wants '
                             'AP and chance in percent for each class')
        require_same_classes(found, prompts, self.dump.names[1:], text_dir)
        better = (rows[:, 0] - rows[:, 1]) / np.maximum(100 - rows[:, 1], 1e-6)
        self.weights = (share * better.clip(0, 1)).astype(np.float32)

    @property
    def supervision(self) -> str:  # type: ignore[override]
        """str: That of the text maps."""
        manifest = self.dump.manifest
        assert manifest is not None, 'Dump.open wants one'
        return ''.join(manifest.supervision)

    def refine(self, maps: np.ndarray, image: Any = None) -> np.ndarray:
        """Not of arrays: the text maps are found by the image id."""
        raise InputError('FuseText finds its maps by the image id: call it '
                         'with a ScoreMap')

    def __call__(self,
                 score_map: ScoreMap,
                 image: Optional[np.ndarray] = None) -> ScoreMap:
        """Fuse the maps of an image.

        Args:
            score_map (ScoreMap): Of any size.
            image (np.ndarray, optional): Not read.

        Returns:
            ScoreMap: On the finer of both grids. A tag without a text map
            keeps its class map.

        Raises:
            InputError: The dump of words does not have the image.
        """
        text = self.dump.read_scores(score_map.img_id)
        if not len(score_map.maps):
            return score_map
        if score_map.class_ids[-1] >= len(self.weights):
            raise InputError(
                f'{score_map.img_id}: class id {score_map.class_ids[-1]}, but '
                f'{self.dump.folder} has {len(self.weights)} classes: labels '
                'of other classes')
        size = (max(score_map.maps.shape[1], text.maps.shape[1]),
                max(score_map.maps.shape[2], text.maps.shape[2]))
        own = resize_maps(score_map.maps, size)
        said = dict(zip(text.class_ids.tolist(), resize_maps(text.maps, size)))
        fused = np.stack([
            one + self.weights[c] * (said[c] - one) if c in said else one
            for c, one in zip(score_map.class_ids.tolist(), own)
        ])
        return self.checked(score_map, fused)
