# Copyright (c) group_wsss contributors. All rights reserved.
from itertools import chain
from typing import Optional

import numpy as np

from ...registry import TASK_UTILS
from ...structures.label_image import IGNORE_INDEX
from ...structures.score_map import ScoreMap
from ..saliency import min_max, read_saliency
from .rules import blank_without_foreground, check_shares, mark_conflicts


@TASK_UTILS.register_module()
class SaliencyLabeler:
    """The rules of Group-WSSS's released ``gen_labels.py``.

    With ``s`` in [0, 1] the saliency and ``a_c`` the maps at image size,
    each min-max normalised over the image (a constant map is 0):

    1. The label is the argmax over ``1 - s`` (background) and all ``a_c``;
       a tie goes to background, then to the lowest class id.
    2. Conflict: more than one of these scores, *background included as in
       the released code*, above ``conflict_threshold`` -> unknown.
    3. Label background although the evidence ``max(s, max_c [a_c >
       attention_threshold])`` is at least ``evidence_threshold`` ->
       unknown. A strong class map is evidence 1, so either suffices.
    4. Foreground left after rules 2 and 3 below ``min_foreground`` of the
       image -> the whole image is unknown.

    Without saliency maps the background score is ``bg_threshold``
    everywhere and the evidence comes from the class maps alone; rule 3 can
    then only apply if ``bg_threshold`` exceeds ``attention_threshold``.

    Args:
        saliency_dir (str, optional): Folder of saliency maps, found as
            ``<saliency_dir>/<img_id><suffix>``; grey or RGB, 8 bits, white
            is salient. None: no saliency. Defaults to None.
        suffix (str): Ending of the file names. Defaults to ``'.png'``.
        bg_threshold (float): Background score without saliency. Defaults
            to 0.35.
        conflict_threshold (float, optional): Rule 2; None switches it off.
            Defaults to 0.9.
        attention_threshold (float): Rule 3. Defaults to 0.8.
        evidence_threshold (float, optional): Rule 3; None switches it off.
            Defaults to 32 / 255.
        min_foreground (float): Rule 4; 0 switches it off. Defaults to 0.01.
    """

    def __init__(self,
                 saliency_dir: Optional[str] = None,
                 suffix: str = '.png',
                 bg_threshold: float = 0.35,
                 conflict_threshold: Optional[float] = 0.9,
                 attention_threshold: float = 0.8,
                 evidence_threshold: Optional[float] = 32 / 255,
                 min_foreground: float = 0.01) -> None:
        check_shares(
            'SaliencyLabeler',
            bg_threshold=bg_threshold,
            conflict_threshold=conflict_threshold,
            attention_threshold=attention_threshold,
            evidence_threshold=evidence_threshold,
            min_foreground=min_foreground)
        self.saliency_dir = saliency_dir
        self.supervision = '' if saliency_dir is None else 'S'
        self.suffix = suffix
        self.bg_threshold = bg_threshold
        self.conflict_threshold = conflict_threshold
        self.attention_threshold = attention_threshold
        self.evidence_threshold = evidence_threshold
        self.min_foreground = min_foreground

    def __call__(self, score_map: ScoreMap) -> np.ndarray:
        """Label an image.

        Args:
            score_map (ScoreMap): Of any size.

        Returns:
            np.ndarray: uint8 ``(H, W)``: 0 background, class id + 1, 255
            unknown.
        """
        evidence = np.zeros(score_map.ori_shape, dtype=np.float32)
        background = np.full_like(evidence, self.bg_threshold)
        if self.saliency_dir is not None:
            evidence = read_saliency(self.saliency_dir, score_map, self.suffix)
            background = 1 - evidence
        label = np.zeros(score_map.ori_shape, dtype=np.uint8)
        strong = np.zeros(label.shape, dtype=bool)
        best = background.copy()
        for number, one in zip((score_map.class_ids + 1).astype(np.uint8),
                               min_max(score_map)):
            # the first one of a tie
            np.copyto(label, number, where=one > best)
            np.maximum(best, one, out=best)
            strong |= one > np.float32(self.attention_threshold)
        mark_conflicts(label, chain([background], min_max(score_map)),
                       self.conflict_threshold)
        if self.evidence_threshold is not None:
            known = strong | (evidence >= np.float32(self.evidence_threshold))
            label[(label == 0) & known] = IGNORE_INDEX
        blank_without_foreground(label, self.min_foreground)
        return label
