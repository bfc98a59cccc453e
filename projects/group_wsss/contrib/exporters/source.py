# Copyright (c) group_wsss contributors. All rights reserved.
"""The label images that an export reads."""
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ...structures import Dump
from ...utils.errors import InputError


class LabelSource(NamedTuple):
    """A folder of label images, as every exporter takes it.

    Args:
        folder (str): Holds ``<img_id>.png``.
        ids (Sequence[str]): Image ids; exports keep their order.
        names (tuple[str]): Name of each label, background first.
        scores (str, optional): Folder of ``<img_id>.npz``. Defaults to None.
        tags (dict, optional): Labels known to be in an image, by image id.
            Defaults to None, not known.
    """
    folder: str
    ids: Sequence[str]
    names: Tuple[str, ...]
    scores: Optional[str] = None
    tags: Optional[Dict[str, Tuple[int, ...]]] = None

    @property
    def bare(self) -> 'LabelSource':
        """LabelSource: Without what grows with the number of images.

        What a process of a pool is sent with every piece of work.
        """
        return self._replace(ids=(), tags=None)

    def read(self, img_id: str) -> np.ndarray:
        """Read a label image.

        Args:
            img_id (str): Image id.

        Returns:
            np.ndarray: uint8 ``(H, W)`` with labels of ``names`` and 255.

        Raises:
            InputError: Missing, damaged, or with a value that is no label;
                names the file.
        """
        return Dump(self.folder, [], self.names).read_label(img_id)


def check_suffix(suffix: str) -> str:
    """Refuse what cannot end the name of an image.

    Args:
        suffix (str): For example ``'.jpg'``.

    Returns:
        str: ``suffix`` itself.

    Raises:
        InputError: It does not begin with a dot, or holds a separator or a
            control character.
    """
    if (not suffix.startswith('.') or len(suffix) < 2
            or not suffix.isprintable() or set(suffix) & set('/\\ ')):
        raise InputError(f'suffix {suffix!r} is not the ending of a '
                         "image's name, such as .jpg")
    return suffix
