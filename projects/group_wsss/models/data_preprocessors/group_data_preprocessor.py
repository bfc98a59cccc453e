# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional, Sequence

from mmpretrain.models.utils import ClsDataPreprocessor
from torch import Tensor

from ...registry import MODELS
from ..utils import check_labels


@MODELS.register_module()
class GroupDataPreprocessor(ClsDataPreprocessor):
    """``ClsDataPreprocessor`` that knows what is padding.

    The parent pads a batch to its largest image without a trace, and class
    maps then cover the padding. Images of one size are handled as there. Of
    different sizes, each is kept on its own in eval mode, so that the padding
    cannot change it; while training they are padded to one tensor. A padded
    image's sample gets ``valid_shape``, its height and width before that.

    Args:
        pad_train (bool): Pad training images of different sizes to one
            tensor; otherwise they are kept apart and the backbone sees one
            at a time (exact, slower, without batch augmentations). Defaults
            to True.
        **kwargs: Arguments of ``mmpretrain.ClsDataPreprocessor``: mean, std,
            to_rgb, pad_size_divisor, ... ``num_classes`` is that of the head
            where a ``GroupCAM`` has it.
    """

    def __init__(self, pad_train: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.pad_train = pad_train

    def forward(self, data: dict, training: bool = False) -> dict:
        """Move, convert, normalise and, where possible, stack.

        Args:
            data (dict): ``inputs``: ``(B, 3, H, W)`` or a list of
                ``(3, H, W)``; ``data_samples``: list, optional.
            training (bool): Whether the model trains. Defaults to False.

        Returns:
            dict: ``inputs`` stacked, or a list of ``(3, H, W)``;
            ``data_samples`` as given.

        Raises:
            InputError: A class id is not below ``num_classes``.
        """
        inputs, samples = data['inputs'], data.get('data_samples')
        if samples is not None and self.num_classes is not None:
            check_labels(samples, self.num_classes)
        one_size = isinstance(inputs, Tensor) or len(
            {image.shape
             for image in inputs}) == 1
        if one_size or (training and self.pad_train):
            out = super().forward(data, training)
            self._record(inputs, out['inputs'], samples)
            return out
        apart = []
        for i, image in enumerate(inputs):
            own = None if samples is None else [samples[i]]
            out = super().forward(dict(inputs=[image], data_samples=own))
            self._record([image], out['inputs'], own)
            apart.append(out['inputs'][0])
        return dict(inputs=apart, data_samples=samples)

    @staticmethod
    def _record(before: Sequence[Tensor], after: Sequence[Tensor],
                samples: Optional[list]) -> None:
        """Note the size of each image that has been padded."""
        for old, new, sample in zip(before, after, samples or []):
            if old.shape[-2:] != new.shape[-2:]:
                sample.set_metainfo(dict(valid_shape=tuple(old.shape[-2:])))
