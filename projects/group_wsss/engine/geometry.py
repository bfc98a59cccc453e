# Copyright (c) group_wsss contributors. All rights reserved.
"""Bring class maps of augmented images back to the image."""
from typing import Any

import numpy as np

from ..utils.errors import InputError
from .utils import transform_name, walk_transforms

# class names of mmcv's, mmpretrain's, mmseg's and torchvision's transforms
# that move pixels in a way the sample does not record
_MOVING = ('AutoAugment', 'RandAugment', 'RandomAffine', 'RandomPerspective',
           'RandomRotate', 'RandomRotation', 'Rotate', 'Shear', 'Translate',
           'RandomTranslate', 'Pad', 'Mosaic', 'RandomMosaic')


def check_pipeline(dataset: Any) -> None:
    """Refuse transforms whose effect on positions cannot be undone.

    Args:
        dataset (Any): The train dataset.

    Raises:
        InputError: A crop, rotation, padding or the like; or flips that
            ``PackInputs`` does not record.
    """
    transforms = list(walk_transforms(dataset))
    names = [transform_name(item) for item in transforms]
    for name in names:
        if 'Crop' in name or name in _MOVING:
            raise InputError(
                f'train_dataloader.dataset.pipeline has {name}: class maps '
                'cannot be brought back to the image; accumulation '
                'needs a pipeline that only resizes and flips')
    if not any('Flip' in name for name in names):
        return
    for item, name in zip(transforms, names):
        missing = {'flip', 'flip_direction'} - set(
            getattr(item, 'meta_keys', ('flip', )) or ())
        if name == 'PackInputs' and missing:
            raise InputError(
                f'PackInputs of the train pipeline needs {sorted(missing)} '
                'in meta_keys: accumulation has to undo flips')


def check_shape(sample: Any) -> None:
    """Refuse a sample that cannot be the whole image, resized.

    With ``scale_factor`` (mmcv's and mmpretrain's resizes record it, width
    first) the image must have the image's size times that factor;
    without, or after several resizes, the same aspect ratio. Both within one
    pixel.

    Args:
        sample (DataSample): With ``ori_shape`` and ``img_shape``.

    Raises:
        InputError: The image was cropped or padded.
    """
    img_id = sample.get('img_id')
    ori, img = sample.get('ori_shape'), sample.get('img_shape')
    if img_id is None or ori is None or img is None:
        raise InputError(
            f'data sample of image {img_id!r}: PackInputs of the train '
            "pipeline needs 'img_id', 'ori_shape' and 'img_shape' in "
            'meta_keys')
    (ori_h, ori_w), (img_h, img_w) = ori[:2], img[:2]
    factor = sample.get('scale_factor')
    if factor is not None:
        factor_w, factor_h = np.broadcast_to(factor, 2)
        if (abs(ori_h * factor_h - img_h) <= 1
                and abs(ori_w * factor_w - img_w) <= 1):
            return
    # the exact ratio lies between those of img one pixel off
    if ((img_w - 1) * ori_h <= (img_h + 1) * ori_w
            and (img_h - 1) * ori_w <= (img_w + 1) * ori_h):
        return
    raise InputError(
        f'image {img_id!r}: {tuple(img[:2])} pixels are not a resized '
        f'image of {tuple(ori[:2])}; accumulation needs a train '
        "pipeline without crops and padding ('scale_factor' in meta_keys of "
        'PackInputs if it changes the aspect ratio)')


def undo_flip(maps: np.ndarray, sample: Any) -> np.ndarray:
    """Flip maps back.

    Args:
        maps (np.ndarray): ``(n, h, w)``.
        sample (DataSample): With ``flip`` and ``flip_direction``
            (``horizontal``, ``vertical`` or ``diagonal``).

    Returns:
        np.ndarray: ``(n, h, w)``.

    Raises:
        InputError: Another direction.
    """
    if not sample.get('flip', False):
        return maps
    direction = sample.get('flip_direction') or 'horizontal'
    axes = dict(
        horizontal=(2, ), vertical=(1, ), diagonal=(1, 2)).get(direction)
    if axes is None:
        raise InputError(f'image {sample.get("img_id")!r}: flip_direction '
                         f'{direction!r} cannot be undone')
    return np.flip(maps, axes)
