# Copyright (c) group_wsss contributors. All rights reserved.
"""Images of any kind in, ``(H, W, 3)`` out; anything else refused."""
import io
import logging
import mmap
import re
from typing import Any, Optional, Tuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.fileio import get as read_bytes
from mmengine.logging import print_log
from PIL import Image

from ...registry import TRANSFORMS
from ...utils.errors import CorruptImageError, InputError
from ...utils.files import check_regular

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# whether the run was told of dark images; shared with forked loader workers
_TOLD = mmap.mmap(-1, 1)
# what ends the coded pixels of a JPEG: no stuffed byte, restart or filling
_MARKER = re.compile(rb'\xff[^\x00\xd0-\xd7\xff]')
_END = b'\xff\xd9'
_LABEL_HINT = 'looks like a label image, not an image'


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Load an image as mmcv's ``LoadImageFromFile`` would, or refuse.

    EXIF rotation is applied (as cv2 does, so that label images fit stage 2),
    grayscale and CMYK become colour, 16 bits become 8, alpha is dropped. A
    warning, once a run, names a 16-bit image that uses less than 1/16 of the
    range, as 12 bits in 16 do: it is nearly black in 8 bits.

    Label images are refused: palette and 1-bit images always; lossless
    8-bit grayscale with 2 to 32 distinct values that all lie in
    ``0..max_label`` or are 255, with at least 8 pixels for each; 16-bit
    grayscale without any value above 255. An image of this kind can be
    saved as RGB.

    Required keys: ``img_path``. Added keys: ``img`` uint8 ``(H, W, 3)`` in
    BGR, ``img_shape`` and ``ori_shape`` as ``(H, W)``.

    Args:
        max_pixels (int): Refuse larger images before decoding; values above
            the default also need PIL's ``Image.MAX_IMAGE_PIXELS`` raised.
            Defaults to 178956970, PIL's own limit.
        max_label (int): Largest class value of a label image. Defaults to
            80, as in COCO.
        backend_args (dict, optional): File backend of mmengine.

    Raises:
        CorruptImageError: An empty, truncated or corrupt file, no image.
        InputError: A missing file, a pipe, a label image, too large.
    """

    def __init__(self,
                 max_pixels: int = 178956970,
                 max_label: int = 80,
                 backend_args: Optional[dict] = None) -> None:
        self.max_pixels = max_pixels
        self.max_label = max_label
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Fill ``img``, ``img_shape`` and ``ori_shape``."""
        img = self.load(results['img_path'])
        results['img'] = img
        results['img_shape'] = img.shape[:2]
        results['ori_shape'] = img.shape[:2]
        return results

    def load(self, path: str) -> np.ndarray:
        """Read one image.

        Args:
            path (str): File or address.

        Returns:
            np.ndarray: uint8 ``(H, W, 3)``, BGR.
        """
        check_regular(path)
        try:
            data = read_bytes(path, backend_args=self.backend_args)
        except FileNotFoundError:
            raise InputError(f'{path}: no such image') from None
        except OSError as error:
            raise InputError(f'{path}: cannot be read: '
                             f'{error.strerror or error}') from None
        if not data:
            raise CorruptImageError(f'{path}: the file is empty')
        try:
            array, sixteen_bits = self._decode(data)
        except InputError as error:
            raise InputError(f'{path}: {error}') from None
        except Image.UnidentifiedImageError:
            raise CorruptImageError(f'{path}: not an image, or in an unknown '
                                    'format') from None
        except Image.DecompressionBombError:
            raise InputError(f'{path}: more pixels than PIL allows '
                             '(decompression bomb)') from None
        except Exception as error:
            # PIL's decoders raise anything on a corrupt file
            text = ' '.join(str(error).split()) or type(error).__name__
            raise CorruptImageError(
                f'{path}: truncated or corrupt image: {text}') from error
        if sixteen_bits and not _TOLD[0] and array.max() < 256 // 16:
            _TOLD[0] = 1
            print_log(
                f'{path}: a 16-bit image that uses less than 1/16 of the '
                'range and is nearly black in 8 bits; scale such images to '
                'the whole range (said once a run)',
                logger='current',
                level=logging.WARNING)
        return array

    def _decode(self, data: bytes) -> Tuple[np.ndarray, bool]:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if width * height > self.max_pixels:
                raise InputError(f'{width}x{height} pixels are more than '
                                 f'max_pixels={self.max_pixels}')
            # Pillow has no mode for colours of 16 bits: the raw mode tells
            sixteen_bits = image.mode.startswith('I') or any(
                ';16' in str(tile[3]) for tile in getattr(image, 'tile', ()))
            array = self._decode_jpeg(data, image)
            if array is None:
                image.load()
                # a copy of a view with reversed channels takes forty times
                # as long
                array = cv2.cvtColor(self._to_rgb(image), cv2.COLOR_RGB2BGR)
            turn = self._turn(image)
        if turn is not None:
            array = np.asarray(Image.fromarray(array).transpose(turn))
        return array, sixteen_bits

    @staticmethod
    def _decode_jpeg(data: bytes, image: Image.Image) -> Optional[np.ndarray]:
        """The same numbers as Pillow's, in less time, as BGR.

        None where Pillow has to look: at another format or mode, at a file
        that is cut off, which OpenCV fills up with gray, and at one with a
        foreign marker among its pixels, which OpenCV reads like the end.
        """
        file = getattr(image, 'fp', None)
        if (image.format != 'JPEG' or image.mode not in ('RGB', 'L')
                or data[-2:] != _END or file is None):
            return None
        if 'progressive' not in image.info:
            # Pillow has read up to the pixels
            found = _MARKER.search(data, file.tell())
            if found is None or found[0] != _END:
                return None
        try:
            array = cv2.imdecode(
                np.frombuffer(data, np.uint8),
                cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:
            return None  # it has limits of its own
        # it may not know the size that was checked
        if array is None or array.shape[:2] != image.size[::-1]:
            return None
        return array

    @staticmethod
    def _turn(image: Image.Image) -> Optional[Any]:
        """The turn that EXIF asks for; cv2 reads no other source."""
        if image.format == 'TIFF' or 'exif' not in image.info:
            return None  # PIL turns TIFF itself
        exif = Image.Exif()
        try:
            exif.load(image.info['exif'])
            return _TURNS.get(exif.get(_ORIENTATION, 1))
        except Exception:
            return None  # damaged EXIF data does not damage the image

    def _to_rgb(self, image: Image.Image) -> np.ndarray:
        mode = image.mode
        if mode in ('P', 'PA', '1'):
            kind = 'palette' if mode != '1' else '1-bit'
            raise InputError(f'{kind} image {_LABEL_HINT}; convert it to RGB '
                             'if it is one')
        if mode == 'F':
            raise InputError('holds floating-point values, not an image')
        if mode.startswith('I'):
            gray = np.asarray(image).astype(np.int64)
            if gray.min() < 0 or gray.max() > 65535:
                raise InputError('holds values outside 16 bits, not an '
                                 'image')
            if gray.max() <= 255 and gray.max() > 0:
                raise InputError(f'16-bit image without values above 255 '
                                 f'{_LABEL_HINT}')
            gray = (gray >> 8).astype(np.uint8)  # as cv2 does
            return np.repeat(gray[:, :, None], 3, axis=2)
        if mode == 'L' and image.format not in ('JPEG', 'MPO', 'JPEG2000'):
            self._refuse_label(image)
        return np.asarray(image.convert('RGB'))

    def _refuse_label(self, image: Image.Image) -> None:
        counts = image.getcolors(maxcolors=32)
        if counts is None or len(counts) < 2:
            return
        values: Any = [value for _, value in counts]  # of mode L: numbers
        enough = image.width * image.height >= 8 * len(values)
        if enough and all(v <= self.max_label or v == 255 for v in values):
            raise InputError(f'grayscale image with values {values[:4]}... '
                             f'{_LABEL_HINT}; convert it to RGB if it is one')

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(max_pixels={self.max_pixels}, '
                f'max_label={self.max_label})')


def load_image(path: str) -> np.ndarray:
    """Load an image with the defaults of :class:`LoadImage`.

    Args:
        path (str): File or address.

    Returns:
        np.ndarray: uint8 ``(H, W, 3)``, RGB.
    """
    return cv2.cvtColor(LoadImage().load(path), cv2.COLOR_BGR2RGB)
