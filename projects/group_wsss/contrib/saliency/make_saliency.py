# Copyright (c) group_wsss contributors. All rights reserved.
"""A folder of saliency maps."""
import io
import json
import os
import os.path as osp
from typing import Callable, Sequence

from PIL import Image

from ...apis.images import InputImage
from ...utils.errors import InputError
from ...utils.files import atomic_write, output_path, read_json
from .saliency_model import SaliencyModel

# what the maps of a folder were made with
SETTINGS = 'saliency.json'


def make_saliency(
        images: Sequence[InputImage],
        model: SaliencyModel,
        out_dir: str,
        progress: Callable[[int, int],
                           None] = lambda done, total: None) -> int:
    """Write the saliency map of each image that has none yet.

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
    path = osp.join(out_dir, SETTINGS)
    try:
        found = read_json(path)
    except FileNotFoundError:
        if osp.isdir(out_dir) and os.listdir(out_dir):
            raise InputError(f'{out_dir}: not empty, and no folder of '
                             f'saliency maps ({SETTINGS}): give another '
                             '--out') from None
        text = json.dumps(model.settings, indent=1) + '\n'
        atomic_write(path, text.encode())
    else:
        if found != model.settings:
            raise InputError(f'{path}: these maps were made with {found}, '
                             f'not with {model.settings}: give another --out')
    made = 0
    for done, image in enumerate(images, 1):
        target = output_path(out_dir, image.img_id, '.png')
        if not osp.isfile(target):
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
