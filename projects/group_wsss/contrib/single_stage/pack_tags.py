# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Sequence

import torch
from mmcv.transforms import BaseTransform

from ...registry import TRANSFORMS
from ...utils.errors import InputError


@TRANSFORMS.register_module()
class PackTags(BaseTransform):
    """mmseg's ``PackSegInputs``, with the tags of the image.

    The data sample gets ``gt_label``, int64 class ids, 0-based and without
    background, as mmpretrain's ``PackInputs`` leaves them. The tags are those
    of the whole image, whatever was cut off.

    Required keys: those of ``PackSegInputs`` and ``gt_label``, which
    ``TaggedImages`` gives.

    Args:
        meta_keys (Sequence[str]): Meta information to pack. Defaults to
            that of ``PackSegInputs`` without paths of masks, and ``img_id``.

    Raises:
        InputError: The image has no ``gt_label``.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = ('img_id', 'img_path', 'ori_shape',
                                    'img_shape', 'pad_shape', 'scale_factor',
                                    'flip', 'flip_direction')
    ) -> None:
        # by its registry: importing mmseg's transforms is slow
        self.pack = TRANSFORMS.build(
            dict(type='mmseg.PackSegInputs', meta_keys=tuple(meta_keys)))

    def transform(self, results: dict) -> dict:
        """Pack image and tags.

        Args:
            results (dict): Of the pipeline.

        Returns:
            dict: ``inputs`` and ``data_samples``.
        """
        if 'gt_label' not in results:
            raise InputError(
                f'{results.get("img_path")}: no tags to pack; PackTags wants '
                'a dataset of images and tags, such as '
                'group_wsss.TaggedImages')
        packed = self.pack(results)
        packed['data_samples'].gt_label = torch.as_tensor(
            results['gt_label'], dtype=torch.int64)
        return packed

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.pack})'
