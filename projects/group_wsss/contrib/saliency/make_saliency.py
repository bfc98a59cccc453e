# Copyright (c) group_wsss contributors. All rights reserved.
"""A folder of saliency maps."""
import io
from typing import Callable, Sequence

from PIL import Image

from ...apis.images import InputImage
from ...utils.errors import InputError
from ...utils.files import atomic_write, output_path
from ...utils.results import keep_settings
from .saliency_model import SaliencyModel

# what the maps of a folder were made with
SETTINGS = 'saliency.json'


def make_saliency(
        images: Sequence[InputImage],
        model: SaliencyModel,
        out_dir: str,
        progress: Callable[[int, int],
                           None] = lambda done, total: None) -> int:
    """Write the saliency map of each image that has none yet, or an older.

    Args:
        images (Sequence[InputImage]): The images.
        model (SaliencyModel): The network.
        out_dir (str): Gets ``<img_id>.png``, 8-bit grey, of the size of the
            image, and ``saliency.json`` with the settings.
        progress (Callable): Told the images done and their number.

    Returns:
        int: Maps that were made now; the others were there.

    Raises:
        InputError: The folder holds something else, or maps of another
            network or of other settings; an image cannot be read; the
            network fails.
    """
    keep_settings(out_dir, SETTINGS, model.settings, 'saliency maps')
    made = 0
    for done, image in enumerate(images, 1):
        target = output_path(out_dir, image.img_id, '.png')
        if not image.has_made(target):
            buffer = io.BytesIO()
            try:
                saliency = model(image.rgb())
            except InputError as error:
                raise InputError(f'image {image.img_id!r}: {error}') from None
            Image.fromarray(saliency).save(buffer, format='PNG')
            atomic_write(target, buffer.getvalue())
            made += 1
        progress(done, len(images))
    return made
