# Copyright (c) group_wsss contributors. All rights reserved.
"""A folder of small label images for all exporters."""
from typing import Callable

import numpy as np
import pytest
from scipy import ndimage

from group_wsss.structures import Dump, encode_index_png

NAMES = ('background', 'cat', 'sea lion', 'dog')


def blobs(seed: int, shape=(61, 83)) -> np.ndarray:
    """Smooth regions with holes, of all labels and 255."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.random((5, *shape)), (0, 3, 3))
    label = field.argmax(axis=0).astype(np.uint8)
    return np.where(label == 4, 255, label).astype(np.uint8)


@pytest.fixture
def source(tmp_path) -> Dump:
    """Blobs, noise, no class at all, nothing but unknown, one class."""
    rng = np.random.default_rng(1)
    labels = {
        'b/1': blobs(1),
        'b/2': blobs(2, (40, 33)),
        'c3': rng.choice([0, 1, 2, 3, 255], (19, 23)).astype(np.uint8),
        'd4': np.zeros((5, 7), np.uint8),
        'e5': np.full((4, 3), 255, np.uint8),
        'f6': np.full((6, 4), 3, np.uint8)
    }
    labels |= {f'g{i}': blobs(i, (17, 20)) for i in range(10, 16)}
    folder = tmp_path / 'labels'
    for img_id, label in labels.items():
        path = folder / f'{img_id}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_index_png(label))
    return Dump(
        str(folder),
        sorted(labels),
        NAMES,
        known_paths={img_id: f'{img_id}.jpg'
                     for img_id in labels})


@pytest.fixture
def flood_fill() -> Callable:
    return _flood_fill


def _flood_fill(label: np.ndarray, connectivity: int):
    """Components in plain Python: (label, set of pixels), in order."""
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    if connectivity == 8:
        steps += [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    height, width = label.shape
    seen, found = set(), []
    for y in range(height):
        for x in range(width):
            value = int(label[y, x])
            if value in (0, 255) or (y, x) in seen:
                continue
            todo, pixels = [(y, x)], set()
            while todo:
                pixel = todo.pop()
                if pixel in pixels:
                    continue
                pixels.add(pixel)
                for dy, dx in steps:
                    a, b = pixel[0] + dy, pixel[1] + dx
                    if (0 <= a < height and 0 <= b < width
                            and label[a, b] == value):
                        todo.append((a, b))
            seen |= pixels
            found.append((value, pixels))
    return sorted(found, key=lambda item: item[0])  # stable
