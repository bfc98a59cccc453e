# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData

from ...registry import TRANSFORMS
from ...utils.errors import InputError
from .load_scores import LABEL_COPY, SCORE_FIELD, STEPS, UNKNOWN_SCORE


@TRANSFORMS.register_module()
class PackScores(BaseTransform):
    """mmseg's ``PackSegInputs``, with the scores of ``LoadScores``.

    The data sample gets ``gt_scores``, a ``PixelData`` with float32 data
    ``(n, H, W)`` in [0, 1], -1 where unknown, and the meta information
    ``score_labels``, the label of each map, and ``score_threshold``.

    Args:
        kwargs: Arguments of ``PackSegInputs``, such as ``meta_keys``.

    Raises:
        InputError: ``LoadScores`` did not run, or a transform moved the
            label and not the scores.
    """

    def __init__(self, **kwargs: Any) -> None:
        # by its registry: importing mmseg's transforms is slow
        self.pack = TRANSFORMS.build(
            dict(type='mmseg.PackSegInputs', **kwargs))

    def transform(self, results: dict) -> dict:
        """Pack image, label and scores.

        Args:
            results (dict): Of the pipeline.

        Returns:
            dict: ``inputs`` and ``data_samples``.
        """
        path = results.get('img_path')
        if 'score_labels' not in results:
            raise InputError(f'{path}: no scores to pack; put '
                             'group_wsss.LoadScores after LoadAnnotations')
        label = results['gt_seg_map']
        if results.get('swap_seg_labels') or not np.array_equal(
                label, results[LABEL_COPY]):
            raise InputError(
                f'{path}: a transform between LoadScores and PackScores '
                'changed gt_seg_map alone and not all seg_fields (such as '
                "mmcv's RandomFlip, Albu, swap_seg_labels), the scores would "
                'not fit')
        maps = np.zeros((0, *label.shape), np.uint8)
        if results['score_labels']:
            fields = map(SCORE_FIELD.format, results['score_labels'])
            maps = np.stack([results[field] for field in fields])
        scores = torch.from_numpy(maps).float() / STEPS
        scores[torch.from_numpy(maps == UNKNOWN_SCORE)] = -1
        packed = self.pack(results)
        packed['data_samples'].gt_scores = PixelData(data=scores)
        packed['data_samples'].set_metainfo(
            dict(
                score_labels=results['score_labels'],
                score_threshold=results.get('score_threshold')))
        return packed

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.pack})'
