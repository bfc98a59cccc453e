# Copyright (c) group_wsss contributors. All rights reserved.
"""Files of one image of a report."""
import io
import os.path as osp
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from ...evaluation import read_mask
from ...structures import ScoreMap
from ...utils.errors import InputError
from ...utils.files import atomic_write, output_path
from .js_data import js_call, pack
from .sources import PageSource, Step
from .trust import trust

THUMB_SIDE = 256
# of class maps; the browser enlarges them as the labeler does
SCORE_SIDE = 256
# files of a folder: file managers get slow with tens of thousands
FOLDER_SIZE = 1000
_QUALITY = 82


def _file_name(kind: str, number: int, suffix: str) -> str:
    """Where a file of an image is; its id may hold anything."""
    return osp.join(kind, f'{number // FOLDER_SIZE}', f'{number}{suffix}')


def fit(shape: Sequence[int], side: int) -> Tuple[int, int]:
    """Largest size of that aspect with no side above ``side``.

    Args:
        shape (Sequence[int]): Height and width.
        side (int): Pixels.

    Returns:
        tuple[int, int]: Height and width; ``shape`` itself if it fits.
    """
    longest = max(shape)
    if longest <= side:
        return int(shape[0]), int(shape[1])
    height, width = (max(1, round(edge * side / longest)) for edge in shape)
    return height, width


def quantize(score_map: ScoreMap) -> np.ndarray:
    """Class maps in steps of 1 / 255, small enough for a page.

    Args:
        score_map (ScoreMap): Of any size.

    Returns:
        np.ndarray: uint8 ``(n, h, w)``, ``h`` and ``w`` at most
        ``SCORE_SIDE``.
    """
    maps = score_map.resize(fit(score_map.maps.shape[1:], SCORE_SIDE)).maps
    return np.round(255 * maps).astype(np.uint8)


def render_image(item: Tuple[int, str, Optional[str]], source: PageSource,
                 folder: str) -> Tuple[List[int], Optional[float]]:
    """Write the files of an image.

    Args:
        item (tuple[int, str, str or None]): Its position on the page, its
            id and its file.
        source (PageSource): Where it comes from.
        folder (str): The report.

    Returns:
        tuple: Classes in its label, without background, and its
        :func:`trust`, None without an earlier step.

    Raises:
        InputError: A file is missing, unreadable or misfits; it is named.
    """
    number, img_id, path = item
    size = len(source.dump.names)
    label = read_mask(output_path(source.dump.folder, img_id, '.png'), size)
    shape = fit(label.shape, source.side)

    def read(root: str) -> np.ndarray:
        return read_mask(
            output_path(root, img_id, '.png'),
            size,
            label.shape,
            other='label')

    labels = [
        label if step.folder == source.dump.folder else read(step.folder)
        for step in source.shown
    ]
    shown = [
        dict(
            label=pack(_shrink(one, shape)),
            scores=_scores(step, img_id, label.shape, size))
        for step, one in zip(source.shown, labels)
    ]
    mask = None
    if source.masks is not None:
        mask = pack(_shrink(read(source.masks), shape))
    files = {
        _file_name('data', number, '.js'):
        js_call('image', number, dict(size=shape, shown=shown, mask=mask)),
        _file_name('labels', number, '.png'):
        _label_png(_shrink(label, fit(shape, THUMB_SIDE)), source.palette()),
    }
    if path is not None:
        image = _image(path, label.shape).resize(shape[::-1],
                                                 Image.Resampling.LANCZOS)
        small = image.resize(
            fit(shape, THUMB_SIDE)[::-1], Image.Resampling.LANCZOS)
        for kind, one in (('images', image), ('thumbs', small)):
            files[_file_name(kind, number, '.jpg')] = _encode(
                one, format='JPEG', quality=_QUALITY)
    for name, data in files.items():
        atomic_write(osp.join(folder, name), data)
    found = np.unique(label)
    return found[(found > 0) & (found < size)].tolist(), (
        trust(label, labels[-2]) if source.steps else None)


def _scores(step: Step, img_id: str, shape: Tuple[int, ...],
            size: int) -> Optional[Dict[str, Any]]:
    """Class maps of an image for the page."""
    if step.scores is None:
        return None
    path = output_path(step.scores, img_id, '.npz')
    score_map = ScoreMap.load_of(path, img_id)
    labels = (score_map.class_ids + 1).tolist()
    if score_map.ori_shape != shape or (labels and labels[-1] >= size):
        raise InputError(f'{path}: its size or classes are not those of the '
                         'label')
    maps = quantize(score_map)
    return dict(size=maps.shape[1:], classes=labels, maps=pack(maps))


def _image(path: str, shape: Tuple[int, ...]) -> Image.Image:
    """The image, which must be as large as the label."""
    # brings mmpretrain in, which takes seconds
    from ...datasets.transforms import load_image
    image = load_image(path)
    if image.shape[:2] != shape:
        raise InputError(f'{path}: {image.shape[:2]} pixels (height, width), '
                         f'its label has {shape}')
    return Image.fromarray(image)


def _shrink(label: np.ndarray, shape: Tuple[int, int]) -> np.ndarray:
    """Nearest pixel: classes do not mix."""
    image = Image.fromarray(label).resize(shape[::-1],
                                          Image.Resampling.NEAREST)
    return np.asarray(image)


def _label_png(label: np.ndarray, palette: np.ndarray) -> bytes:
    """Classes in colour on nothing: background is transparent."""
    image = Image.fromarray(label)
    image.putpalette(palette.tobytes())
    return _encode(image, format='PNG', transparency=b'\0', optimize=False)


def _encode(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()
