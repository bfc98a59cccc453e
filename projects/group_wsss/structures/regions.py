# Copyright (c) group_wsss contributors. All rights reserved.
"""Regions of an image, whoever made them."""
import json
import os.path as osp
from typing import Any, List, NamedTuple, Tuple

import numpy as np

from ..utils.errors import InputError
from ..utils.files import atomic_write, output_path, read_json
from .arrays import read_arrays, write_arrays
from .manifest import SUPERVISION
from .segmentation import decode_segmentation, encode_mask

# what the regions of a folder were made with; no image's file ends so
SETTINGS = 'made_with.txt'


class Regions(NamedTuple):
    """Regions of one image; they may overlap, and need not cover it.

    Attributes:
        size (tuple[int, int]): Height and width of the image.
        pixels (np.ndarray): Pixels of all regions, int64 ``(p, )``:
            ``row * width + column``.
        numbers (np.ndarray): Region of each of these, 0-based, int64
            ``(p, )``.
        areas (np.ndarray): Pixels of each region, all positive, int64
            ``(n, )``.
    """
    size: Tuple[int, int]
    pixels: np.ndarray
    numbers: np.ndarray
    areas: np.ndarray

    @classmethod
    def from_label_map(cls, label_map: np.ndarray) -> 'Regions':
        """Regions of a map of whole numbers, in their order; 0 is none."""
        pixels = np.flatnonzero(label_map)
        _, numbers, areas = np.unique(
            label_map.ravel()[pixels], return_inverse=True, return_counts=True)
        return cls(label_map.shape, pixels, numbers.reshape(-1), areas)

    @classmethod
    def from_masks(cls, size: Tuple[int, int],
                   masks: List[np.ndarray]) -> 'Regions':
        """Regions of bool masks, which may overlap; empty ones are left out.

        Args:
            size (tuple[int, int]): Height and width of the image.
            masks (list[np.ndarray]): bool ``(H, W)``.
        """
        found = [
            pixels for pixels in map(np.flatnonzero, masks) if len(pixels)
        ]
        areas = np.array([len(pixels) for pixels in found], dtype=np.int64)
        pixels = np.concatenate([np.zeros(0, np.int64), *found])
        return cls(size, pixels, np.repeat(np.arange(len(found)), areas),
                   areas)

    def means(self, maps: np.ndarray) -> np.ndarray:
        """Mean of each map in each region.

        Args:
            maps (np.ndarray): Numbers ``(k, H, W)``.

        Returns:
            np.ndarray: float64 ``(k, n)``.
        """
        sums = [
            np.bincount(self.numbers,
                        one.ravel()[self.pixels], len(self.areas))
            for one in maps
        ]
        return np.reshape(sums, (len(maps), len(self.areas))) / self.areas

    def paint(self, values: np.ndarray) -> np.ndarray:
        """Maps that are constant in a region; the largest value where some
        overlap, 0 where there is none.

        Args:
            values (np.ndarray): ``(k, n)``, not negative.

        Returns:
            np.ndarray: float32 ``(k, H, W)``.
        """
        maps = np.zeros((len(values), self.size[0] * self.size[1]), np.float32)
        for one, value in zip(maps, values.astype(np.float32)):
            np.maximum.at(one, self.pixels, value[self.numbers])
        return maps.reshape(-1, *self.size)


def read_regions(folder: str, img_id: str, size: Tuple[int, int]) -> Regions:
    """Read the regions of an image, ``<img_id>.npz`` or ``<img_id>.json``.

    The npz has an array ``regions``, whole numbers ``(H, W)``, 0 in no
    region. The JSON is a list of run lengths of COCO, or of objects that
    have one as ``segmentation``, as Segment Anything writes them. The npz
    is read if both are there.

    Args:
        folder (str): The folder.
        img_id (str): Image id.
        size (tuple[int, int]): Height and width of the image.

    Returns:
        Regions: Any number of them.

    Raises:
        InputError: No file, a damaged one, or one of an image of another
            size; the file is named.
    """
    path = output_path(folder, img_id, '.npz')
    if osp.isfile(path):
        label_map, = read_arrays(path, ['regions'], 'file of regions')
        if label_map.ndim != 2 or label_map.dtype.kind not in 'iu':
            raise InputError(f'{path}: regions are whole numbers (H, W), not '
                             f'{label_map.dtype} {label_map.shape}')
        if label_map.shape != size:
            raise InputError(f'{path}: regions of {label_map.shape} pixels '
                             f'(height, width) for an image of {size}')
        return Regions.from_label_map(label_map)
    other = output_path(folder, img_id, '.json')
    try:
        content = read_json(other)
    except FileNotFoundError:
        raise InputError(f'{path}: no such file, and no .json beside it: '
                         'tools/make_regions.py makes regions') from None
    if not isinstance(content, list):
        raise InputError(f'{other}: not a list of regions')
    masks = []
    for place, entry in enumerate(content):
        if isinstance(entry, dict):
            entry = entry.get('segmentation', entry)
        try:
            masks.append(decode_segmentation(entry, *size))
        except InputError as error:
            raise InputError(f'{other}: region {place}: {error}') from None
    return Regions.from_masks(size, masks)


def write_regions(folder: str, img_id: str, regions: Any) -> str:
    """Write a file that :func:`read_regions` reads; equal regions give
    equal bytes.

    Args:
        folder (str): The folder.
        img_id (str): Image id.
        regions (np.ndarray | Sequence[np.ndarray]): Whole numbers ``(H, W)``
            for an npz, or masks, bool ``(H, W)``, which may overlap, for a
            JSON file.

    Returns:
        str: Its path.
    """
    if isinstance(regions, np.ndarray) and regions.ndim == 2:
        path = output_path(folder, img_id, '.npz')
        write_arrays(path, regions=regions)
    else:
        path = output_path(folder, img_id, '.json')
        lines = ',\n'.join(json.dumps(encode_mask(mask)) for mask in regions)
        atomic_write(path, f'[{lines}]\n'.encode())
    return path


def regions_supervision(folder: str) -> str:
    """Letters of ``Manifest.supervision`` for the regions of a folder.

    Args:
        folder (str): The folder.

    Returns:
        str: As its settings say; ``'A'``, foreign masks, without such a
        file: nobody knows what its maker was trained on.

    Raises:
        InputError: The settings are damaged.
    """
    path = osp.join(folder, SETTINGS)
    try:
        settings = read_json(path)
    except FileNotFoundError:
        return 'A'
    settings = settings if isinstance(settings, dict) else {}
    letters = settings.get('supervision')
    if not isinstance(letters, str) or not set(letters) <= set(SUPERVISION):
        raise InputError(f"{path}: 'supervision' must be letters of "
                         f'{"".join(SUPERVISION)}, or none')
    return letters
