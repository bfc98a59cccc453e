# Copyright (c) group_wsss contributors. All rights reserved.
"""A folder of regions."""
from functools import partial
from typing import Any, Callable, Sequence

import torch

from ...apis.images import InputImage
from ...structures.regions import SETTINGS, write_regions
from ...utils.errors import InputError
from ...utils.files import output_path
from ...utils.pool import Pool, no_progress
from ...utils.results import keep_settings


def _make(images: Sequence[InputImage], maker: Callable[[Any], Any],
          out_dir: str) -> None:
    """The regions of some images."""
    for image in images:
        try:
            regions = maker(image.rgb())
        except InputError as error:
            raise InputError(f'image {image.img_id!r}: {error}') from None
        write_regions(out_dir, image.img_id, regions)


def make_regions(images: Sequence[InputImage],
                 maker: Any,
                 out_dir: str,
                 jobs: int = 1,
                 progress: Callable[[int, int], None] = no_progress) -> int:
    """Write the regions of each image that has none yet, or older ones.

    Args:
        images (Sequence[InputImage]): The images.
        maker (Superpixels | SamRegions): Makes regions, and has
            ``settings``.
        out_dir (str): Gets a file an image, see
            :func:`~group_wsss.structures.regions.read_regions`, and
            ``made_with.txt`` with the settings.
        jobs (int): Processes; they change no byte. Defaults to 1.
        progress (Callable): Told the images done and their number.

    Returns:
        int: Images whose regions were made now; the others were there.

    Raises:
        InputError: The folder holds something else, or regions of another
            maker or of other settings; an image cannot be read.
    """
    keep_settings(out_dir, SETTINGS, maker.settings, 'regions')
    todo = [
        image for image in images if not any(
            image.has_made(output_path(out_dir, image.img_id, suffix))
            for suffix in ('.npz', '.json'))
    ]
    there, threads = len(images) - len(todo), torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes: last bits depend on it
    try:
        with Pool(jobs) as pool:
            for _ in pool.map_chunks(
                    partial(_make, maker=maker, out_dir=out_dir),
                    todo,
                    lambda done, _: progress(there + done, len(images)),
                    size=1):
                pass
    finally:
        torch.set_num_threads(threads)
    return len(todo)
