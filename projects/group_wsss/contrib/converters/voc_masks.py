# Copyright (c) group_wsss contributors. All rights reserved.
import io
from pathlib import Path
from typing import List, Tuple

import numpy as np
from PIL import Image

from ...structures.label_image import IGNORE_INDEX, voc_palette
from ...structures.palette import VOC_CLASSES
from ...utils.errors import InputError
from ...utils.files import atomic_write


def convert_voc_mask(task: Tuple[str, str]) -> List[int]:
    """Bring one mask to its place, if it is not there yet.

    Args:
        task (tuple[str, str]): SBD's ``.mat`` or VOC's ``.png``, and the
            PNG to write.

    Returns:
        list[int]: 0-based class ids in it.

    Raises:
        InputError: The source is missing, damaged or of another kind.
    """
    source, target = map(Path, task)
    fresh = not target.exists()
    path = source if fresh else target
    try:
        if path.suffix == '.mat':
            label = _read_mat(path)
        else:
            with Image.open(path) as image:
                label = np.asarray(image)
                if image.mode not in ('P', 'L'):
                    raise InputError(f'mode {image.mode} is no index image')
    except FileNotFoundError:
        raise InputError(f'{path}: no such mask') from None
    except Exception as error:
        # scipy and PIL raise anything on a corrupt file
        text = ' '.join(str(error).split())
        raise InputError(f'{path}: not a usable mask: {text}') from error
    values = np.unique(label)
    last = len(VOC_CLASSES)
    if ((values > last) & (values != IGNORE_INDEX)).any():
        raise InputError(f'{path}: class value {values[values > last][0]} is '
                         f'outside 0..{last} and 255')
    if fresh:
        atomic_write(str(target), _index_png(label))
    return [int(v) - 1 for v in values if 0 < v <= last]


def _read_mat(path: Path) -> np.ndarray:
    """``GTcls.Segmentation`` of an SBD file, uint8 ``(H, W)``."""
    from scipy.io import loadmat
    content = loadmat(str(path), squeeze_me=True, struct_as_record=False)
    label = np.asarray(content['GTcls'].Segmentation)
    if label.ndim != 2 or label.dtype.kind not in 'uif':
        raise InputError('GTcls.Segmentation is no label image')
    if (label != np.clip(np.round(label), 0, 255)).any():
        raise InputError('GTcls.Segmentation holds other than class values')
    return label.astype(np.uint8)


def _index_png(label: np.ndarray) -> bytes:
    """A label image as PNG with VOC's palette."""
    image = Image.fromarray(label)
    image.putpalette(voc_palette().tobytes())
    buffer = io.BytesIO()
    image.save(buffer, 'PNG')
    return buffer.getvalue()
