# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement, PixelData

from ...registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackSeeds(BaseTransform):
    """Pack an image and its seeds for ``AffinityNet``.

    The sample gets ``seeds``, ``PixelData`` with int64 ``(1, H, W)``. It has
    no field in which masks travel, so that ``WeakSupervisionHook`` can stay
    on.

    Required keys: ``img``, ``gt_seg_map`` as ``LoadSeeds`` made it.

    Args:
        meta_keys (Sequence[str]): What the sample keeps as meta
            information, where it is there. Defaults to ``('img_id',
            'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip')``.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = ('img_id', 'img_path', 'ori_shape',
                                    'img_shape', 'scale_factor', 'flip')
    ) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """``inputs`` uint8 ``(3, H, W)`` and ``data_samples``."""
        image = np.ascontiguousarray(results['img'].transpose(2, 0, 1))
        seeds = results['gt_seg_map'][None].astype(np.int64)
        sample = BaseDataElement(metainfo={
            key: results[key]
            for key in self.meta_keys if key in results
        })
        sample.seeds = PixelData(data=torch.from_numpy(seeds))
        return dict(inputs=torch.from_numpy(image), data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'
