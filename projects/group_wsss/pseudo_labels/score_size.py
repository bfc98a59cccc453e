# Copyright (c) group_wsss contributors. All rights reserved.
"""Forecast of the disk space that score maps will take."""
import os.path as osp
import shutil
from typing import List, Optional, Sequence

from ..utils.errors import InputError
from .dump import LabelDump

# images whose maps are measured
SAMPLE = 16
# a file takes whole blocks of the disk
_BLOCK = 4096


def human_bytes(count: float) -> str:
    """A number of bytes for people, in powers of 1000.

    Args:
        count (float): Bytes.

    Returns:
        str: Such as ``'3.2 GB'``.
    """
    for unit in ('B', 'kB', 'MB', 'GB', 'TB'):
        if count < 999.95 or unit == 'TB':
            break
        count /= 1000
    return f'{count:.0f} B' if unit == 'B' else f'{count:.1f} {unit}'


def score_disk(folder: str,
               sizes: Sequence[int],
               images: int,
               copies: int = 1) -> str:
    """Estimate the disk space of score maps from some of them.

    Args:
        folder (str): Where they go; need not be there yet.
        sizes (Sequence[int]): Bytes of the files that were measured.
        images (int): Number of all images.
        copies (int): Maps that an image has at a time. Defaults to 1.

    Returns:
        str: A line for the user.

    Raises:
        InputError: The disk has less space.
    """
    blocks = sum(-(-size // _BLOCK) for size in sizes)
    need = _BLOCK * blocks / max(len(sizes), 1) * images * copies
    place = folder
    while not osp.exists(place):
        place = osp.dirname(place)
    free = shutil.disk_usage(place).free
    text = (f'scores of {images} images need about {human_bytes(need)} '
            f'({len(sizes)} measured), {human_bytes(free)} are free')
    if need > free:
        raise InputError(f'{folder}: {text}')
    return text


class ScoreSize:
    """Tell how much disk a dump's score maps will take, once that is known.

    Maps are stored if they are kept, and while a step waits for the scores
    of all images.

    Args:
        dump (LabelDump): The dump, before the first map.
        images (int): Number of all images.
    """

    def __init__(self, dump: LabelDump, images: int) -> None:
        self.dump = dump
        self.images = images
        self.copies = int(dump.waits) + int(dump.keep_scores)
        self.sizes: List[int] = []

    def measure(self, img_id: str) -> Optional[str]:
        """Look at the stored map of an image.

        Args:
            img_id (str): Its id.

        Returns:
            str, optional: The estimate, once: when enough were measured.

        Raises:
            InputError: The disk is too small.
        """
        wanted = min(SAMPLE, self.images)
        if not self.copies or len(self.sizes) >= wanted:
            return None
        self.sizes.append(self.dump.stored_bytes(img_id))
        if len(self.sizes) < wanted:
            return None
        return score_disk(self.dump.writer.out_dir, self.sizes, self.images,
                          self.copies)
