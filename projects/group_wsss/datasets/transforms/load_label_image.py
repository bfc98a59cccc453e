# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any

from mmseg.datasets.transforms import LoadAnnotations

from ...registry import TRANSFORMS
from ...utils.errors import InputError


@TRANSFORMS.register_module()
class LoadLabelImage(LoadAnnotations):
    """Load the label image of an image, and see that it is of its size.

    mmseg's ``LoadAnnotations`` with pillow, which reads the indices of a PNG
    with a palette where cv2 reads its colours. An image that was turned or
    cropped after its label was made would be trained on without a word: every
    crop of both has the same size.

    Required keys: ``ori_shape``, which ``LoadImage`` and mmcv's loader add,
    and those of ``LoadAnnotations``. Added keys: ``gt_seg_map``.

    Args:
        **kwargs: Of ``mmseg.LoadAnnotations``.

    Raises:
        InputError: Image and label image differ in size.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{'imdecode_backend': 'pillow', **kwargs})

    def transform(self, results: dict) -> dict:
        """Add the label; see the class."""
        results = super().transform(results)
        check_label_size(results, results['seg_map_path'],
                         results['gt_seg_map'].shape)
        return results


def check_label_size(results: dict, label: str, shape: tuple) -> None:
    """Refuse a label image that is not of its image's size.

    Args:
        results (dict): ``img_path`` and ``ori_shape`` ``(H, W)``.
        label (str): The label image, for the message.
        shape (tuple[int, int]): Its size.

    Raises:
        InputError: Both files and both sizes.
    """
    want = tuple(results['ori_shape'][:2])
    if tuple(shape) != want:
        raise InputError(f'{results.get("img_path")}: {want} pixels, its '
                         f'label image {label} has {tuple(shape)}: the image '
                         'was turned or edited after the label was made; '
                         'make the labels again')
