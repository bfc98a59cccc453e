# Copyright (c) group_wsss contributors. All rights reserved.
import io
import os.path as osp
from functools import partial
from typing import Any, Callable, Dict

import numpy as np

from ...pseudo_labels.score_size import SAMPLE, score_disk
from ...structures import Dump
from ...utils.files import atomic_write, output_path
from ...utils.pool import Pool, no_progress
from .staging import staged

SCORE_SIZES = ('map', 'image')
SCORE_TYPES = ('float16', 'uint8')


def export_scores(
        dump: Dump,
        out: str,
        size: str = 'map',
        dtype: str = 'float16',
        jobs: int = 1,
        progress: Callable[[int, int], None] = no_progress) -> Dict[str, Any]:
    """Soft scores as ``<img_id>.npz``: compressed, without pickled objects.

    Each holds ``scores`` ``(n, h, w)``, ``labels`` ``(n, )`` (values of
    the label image; only classes known to be there have scores) and
    ``size``, height and width of the image. Background has no map of
    its own.

    Args:
        dump (Dump): With ``scores``.
        out (str): Folder; new or empty.
        size (str): ``'map'``: as the scores were kept; ``'image'``: resized
            to the image. Defaults to ``'map'``.
        dtype (str): ``'float16'``, or ``'uint8'``: 0..255 for [0, 1],
            rounded. Defaults to ``'float16'``.
        jobs (int): Processes; they change no byte. Defaults to 1.
        progress (Callable): Told the images done and their number.

    Returns:
        dict: ``images`` and ``bytes`` of the files.

    Raises:
        InputError: No scores, a damaged score map, a disk that is too
            small, or a folder that cannot be written or is not empty.
    """
    with staged(out) as part, Pool(jobs) as pool:
        work = partial(
            _write_scores, dump=dump.bare, folder=part, size=size, dtype=dtype)
        total = sum(pool.map(work, dump.ids, progress))
    return dict(images=len(dump.ids), bytes=total)


def estimate_scores(dump: Dump,
                    out: str,
                    size: str = 'map',
                    dtype: str = 'float16') -> str:
    """Estimate the disk that :func:`export_scores` will take.

    Some images, evenly spaced, are encoded for it.

    Args:
        dump (Dump): With ``scores``.
        out (str): Folder of the export.
        size (str): As in :func:`export_scores`.
        dtype (str): As in :func:`export_scores`.

    Returns:
        str: A line that says it.

    Raises:
        InputError: The disk of ``out`` is too small, or a damaged map.
    """
    step = max(len(dump.ids) // SAMPLE, 1)
    sample = dump.ids[::step][:SAMPLE]
    sizes = [
        len(_encode_scores(img_id, dump, size, dtype)) for img_id in sample
    ]
    return score_disk(osp.abspath(out), sizes, len(dump.ids))


def _encode_scores(img_id: str, dump: Dump, size: str, dtype: str) -> bytes:
    """The npz of an image."""
    assert size in SCORE_SIZES and dtype in SCORE_TYPES
    score_map = dump.read_scores(img_id)
    labels = score_map.class_ids + 1
    if size == 'image':
        score_map = score_map.resize()
    scores = score_map.maps
    if dtype == 'uint8':
        scores = np.rint(scores * 255)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        scores=scores.astype(dtype),
        labels=labels.astype(np.uint8),
        size=np.array(score_map.ori_shape, dtype=np.int32))
    return buffer.getvalue()


def _write_scores(img_id: str, dump: Dump, folder: str, size: str,
                  dtype: str) -> int:
    """Write the scores of an image; the number of bytes."""
    data = _encode_scores(img_id, dump, size, dtype)
    atomic_write(output_path(folder, img_id, '.npz'), data)
    return len(data)
