# Copyright (c) group_wsss contributors. All rights reserved.
"""Superpixels of scikit-image."""
import importlib.metadata
from typing import Any, Dict

import numpy as np

from ...utils.errors import InputError

SUPERPIXELS = ('slic', 'felzenszwalb')
EXTRA = 'pip install .[regions]'


class Superpixels:
    """Images in, superpixels out; nothing was trained.

    - ``'slic'``: as many clusters of colour and place as the image has room
      for at ``size`` pixels each (k-means in CIELAB, compactness 10).
    - ``'felzenszwalb'``: a graph of colour, ``scale = size`` and no region
      below ``size / 4`` pixels.

    Args:
        backend (str): ``'slic'`` or ``'felzenszwalb'``.
        size (int): Pixels of a region, roughly. Defaults to 400.

    Attributes:
        settings (dict): What the regions depend on.

    Raises:
        InputError: scikit-image is not installed, or no positive size.
    """

    def __init__(self, backend: str, size: int = 400) -> None:
        assert backend in SUPERPIXELS, f'backend is one of {SUPERPIXELS}'
        if size < 1:
            raise InputError(f'--size {size}: must be positive')
        try:
            import skimage  # noqa: F401
            version = importlib.metadata.version('scikit-image')
        except ImportError:
            raise InputError(
                f'scikit-image is not installed: {EXTRA}') from None
        self.backend = backend
        self.size = size
        self.settings: Dict[str, Any] = {
            'backend': backend,
            'size': size,
            'scikit-image': version,
            'supervision': ''
        }

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Superpixels of an image.

        Args:
            image (np.ndarray): uint8 RGB ``(H, W, 3)``.

        Returns:
            np.ndarray: uint16 or uint32 ``(H, W)``, from 1 on; every pixel
            is in one region.
        """
        from skimage import segmentation
        if self.backend == 'slic':
            count = max(round(image.shape[0] * image.shape[1] / self.size), 1)
            found = segmentation.slic(
                image, count, compactness=10, start_label=1)
        else:
            found = 1 + segmentation.felzenszwalb(
                image, scale=self.size, min_size=max(self.size // 4, 1))
        return found.astype(np.uint16 if found.max() < 2**16 else np.uint32)
