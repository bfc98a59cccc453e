# Copyright (c) group_wsss contributors. All rights reserved.
"""What classes look like to a backbone, image by image."""
from typing import List, NamedTuple

import cv2
import numpy as np

from ..structures.arrays import read_arrays, write_arrays
from ..structures.score_map import ScoreMap
from ..utils.errors import InputError

_KEYS = ('img_ids', 'class_ids', 'features')


def region_feature(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean feature of a region.

    Args:
        features (np.ndarray): float32 ``(C, h, w)``.
        mask (np.ndarray): bool ``(H, W)`` at the size of the image, not
            empty; a cell counts by the share of it that is covered.

    Returns:
        np.ndarray: float32 ``(C, )``.
    """
    size = features.shape[:0:-1]
    weights = cv2.resize(
        mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return (features * weights).sum(axis=(1, 2)) / weights.sum()


class Prototypes(NamedTuple):
    """What classes look like, each in one image.

    Attributes:
        img_ids (np.ndarray): Image of each, text ``(m, )``.
        class_ids (np.ndarray): Its class, int64 ``(m, )``.
        features (np.ndarray): float32 ``(m, C)``.
    """
    img_ids: np.ndarray
    class_ids: np.ndarray
    features: np.ndarray

    @classmethod
    def of(cls, score_map: ScoreMap, features: np.ndarray,
           confident: float) -> 'Prototypes':
        """Mean features of the confident pixels of each class of an image.

        Args:
            score_map (ScoreMap): The class maps.
            features (np.ndarray): float32 ``(C, h, w)``.
            confident (float): A pixel counts for its strongest class from
                this share of the largest score of the class on.

        Returns:
            Prototypes: At most one a class.
        """
        maps = score_map.resize().maps
        best = maps.argmax(axis=0) if len(maps) else None
        found, ids = [], []
        for place, one in enumerate(maps):
            mask = (best == place) & (one >= confident * one.max())
            if mask.any() and one.max() > 0:
                found.append(region_feature(features, mask))
                ids.append(score_map.class_ids[place])
        return cls(
            np.array([score_map.img_id] * len(ids), dtype=np.str_),
            np.array(ids, dtype=np.int64),
            np.array(found, np.float32).reshape(-1, len(features)))

    def similarities(self, feature: np.ndarray, class_ids: np.ndarray,
                     img_id: str, nearest: int) -> List[float]:
        """Mean cosine with the nearest prototypes of other images.

        Features are taken relative to the mean of all prototypes.

        Args:
            feature (np.ndarray): float32 ``(C, )``.
            class_ids (np.ndarray): Classes that are asked for.
            img_id (str): The image whose own prototypes are left out.
            nearest (int): Prototypes of a class that count.

        Returns:
            list[float]: One a class; -inf of one without a prototype in
            another image.
        """
        center = self.features.mean(axis=0)
        rows = self.features - center
        feature = feature - center
        norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(feature)
        cosines = rows @ feature / np.maximum(norms, 1e-12)
        found = []
        for class_id in class_ids:
            own = cosines[(self.class_ids == class_id)
                          & (self.img_ids != img_id)]
            found.append(
                float(np.sort(own)[-nearest:].mean()) if len(own) else -np.inf)
        return found

    def save(self, path: str) -> None:
        """Write an npz.

        Args:
            path (str): The file.
        """
        write_arrays(path, **self._asdict())

    @classmethod
    def load(cls, path: str) -> 'Prototypes':
        """Read a file of :meth:`save`; never executes code from it.

        Args:
            path (str): The file.

        Returns:
            Prototypes: What was saved.

        Raises:
            InputError: Missing, damaged, or not such a file.
        """
        ids, classes, features = read_arrays(path, _KEYS, 'file of prototypes')
        if not (ids.dtype.kind == 'U' and classes.dtype.kind == 'i'
                and features.dtype == np.float32 and features.ndim == 2
                and ids.shape == classes.shape == features.shape[:1]
                and features.size and np.isfinite(features).all()):
            raise InputError(f'{path}: not a file of prototypes: its arrays '
                             'have the wrong type or shape')
        return cls(ids, classes, features)
