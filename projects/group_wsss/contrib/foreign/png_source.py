# Copyright (c) group_wsss contributors. All rights reserved.
import os.path as osp
from typing import Optional, Sequence, Tuple

import numpy as np

from ...structures.label_image import IGNORE_INDEX, read_index_png
from ...structures.manifest import MANIFEST, Manifest
from ...utils.classes import require_same_classes
from ...utils.errors import InputError
from ...utils.files import output_path
from .source import ForeignImage, ForeignMask


class PngSource:
    """A folder of index PNGs, ``<img_id>.png``: 0 background, 255 unknown.

    Args:
        path (str): The folder.
        classes (Sequence[str]): Names of the labels 1, 2, ...; those of a
            ``manifest.json`` in the folder must be the same.
        source (str): Where they come from, for the message.

    Raises:
        InputError: No such folder, or one with other names.
    """

    def __init__(self, path: str, classes: Sequence[str], source: str) -> None:
        if not osp.isdir(path):
            raise InputError(f'{path}: no such folder')
        manifest = Manifest.find(path)
        if manifest is not None:
            require_same_classes(manifest.classes[1:],
                                 osp.join(path, MANIFEST), classes, source)
        self.path = path
        self.names: Optional[Tuple[str, ...]] = tuple(classes)

    def read(self, img_id: str) -> ForeignImage:
        """One mask a label; see ``Source.read``."""
        assert self.names is not None
        path = output_path(self.path, img_id, '.png')
        label = read_index_png(path)
        masks = []
        for value in np.unique(label).tolist():
            if value in (0, IGNORE_INDEX):
                continue
            if value > len(self.names):
                raise InputError(f'{path}: value {value} is neither one of '
                                 f'{len(self.names)} classes nor 0 nor '
                                 f'{IGNORE_INDEX}')
            masks.append(
                ForeignMask(self.names[value - 1], 1.0, label == value))
        return ForeignImage(label.shape, masks, label == IGNORE_INDEX)
