# Copyright (c) group_wsss contributors. All rights reserved.
"""Label images: index PNGs, one byte a pixel, with a palette."""
import io
import zlib
from typing import Optional

import numpy as np
from PIL import Image

from ..utils.errors import InputError, one_line
from ..utils.files import check_regular

# a label of unknown pixels: losses and metrics leave them out
IGNORE_INDEX = 255

# what Pillow raises for a truncated, foreign or oversized file
_BROKEN = (OSError, SyntaxError, ValueError, EOFError,
           Image.DecompressionBombError)


def voc_palette(num_colors: int = 256) -> np.ndarray:
    """Colour map of PASCAL VOC's index PNGs.

    Bit ``3 * i + c`` of the index is bit ``7 - i`` of channel ``c``, as in
    the VOC development kit; index 255 is the off-white of its borders.

    Args:
        num_colors (int): The first so many, the background included.
            Defaults to 256.

    Returns:
        np.ndarray: uint8 ``(num_colors, 3)``, RGB.
    """
    index = np.arange(num_colors)
    palette = np.zeros((num_colors, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            value = (index >> (3 * bit + channel)) & 1
            palette[:, channel] |= (value << (7 - bit)).astype(np.uint8)
    return palette


def encode_index_png(label: np.ndarray,
                     palette: Optional[np.ndarray] = None) -> bytes:
    """Encode a label image; the same label gives the same bytes.

    Args:
        label (np.ndarray): uint8 ``(H, W)``.
        palette (np.ndarray, optional): uint8 ``(256, 3)`` RGB. Defaults to
            the VOC colours.

    Returns:
        bytes: A PNG of mode ``P`` without any metadata.
    """
    assert label.dtype == np.uint8 and label.ndim == 2, (
        f'a label is uint8 (H, W), got {label.dtype} {label.shape}')
    palette = voc_palette() if palette is None else palette
    image = Image.fromarray(np.ascontiguousarray(label))
    image.putpalette(palette.tobytes())  # turns mode L into mode P
    buffer = io.BytesIO()
    # labels are runs of equal bytes: smaller files than by searching for
    # repeats, in less than half the time
    image.save(buffer, format='PNG', compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def read_index_png(path: str) -> np.ndarray:
    """Read the class indices of a PNG.

    Args:
        path (str): A PNG of mode ``P`` (palette) or ``L`` (grey).

    Returns:
        np.ndarray: uint8 ``(H, W)`` indices, never palette colours.

    Raises:
        InputError: Missing, unreadable, truncated, not a PNG, or a PNG that
            holds colours or 16-bit values in place of indices.
    """
    image = open_image(path)
    if image.format != 'PNG' or image.mode not in ('P', 'L'):
        raise InputError(f'{path}: not an index PNG of mode P or L but '
                         f'{image.format} of mode {image.mode}')
    return np.array(image, dtype=np.uint8)


def check_values(mask: np.ndarray,
                 path: str,
                 num_classes: int,
                 ignore_index: int = IGNORE_INDEX) -> None:
    """Refuse a mask with other values than those of the classes.

    Args:
        mask (np.ndarray): Integers of any shape, none below 0.
        path (str): Its file, for the message.
        num_classes (int): Background included.
        ignore_index (int): The one value allowed beyond the classes.

    Raises:
        InputError: There is one; names the file.
    """
    wrong = mask[(mask >= num_classes) & (mask != ignore_index)]
    if wrong.size:
        raise InputError(
            f'{path}: value {int(wrong[0])} is neither one of {num_classes} '
            f'classes nor {ignore_index}')


def open_image(path: str) -> Image.Image:
    """Open and decode an image file completely.

    Args:
        path (str): Image file.

    Returns:
        PIL.Image.Image: The loaded image; its file is closed.

    Raises:
        InputError: Missing, truncated or not an image.
    """
    check_regular(path)
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except _BROKEN as error:
        raise InputError(f'{path}: cannot be read as an image: '
                         f'{one_line(error)}') from None
