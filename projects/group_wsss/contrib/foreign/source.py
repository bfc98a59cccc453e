# Copyright (c) group_wsss contributors. All rights reserved.
"""What every kind of foreign file gives."""
from typing import Any, List, NamedTuple, Optional, Protocol, Tuple

import numpy as np

from ...utils.errors import InputError


class ForeignMask(NamedTuple):
    """A mask that somebody has given a name.

    Attributes:
        name (str): Its class, in the words of its maker.
        score (float): In [0, 1].
        mask (np.ndarray): bool ``(H, W)``.
    """
    name: str
    score: float
    mask: np.ndarray


class ForeignImage(NamedTuple):
    """All masks of an image.

    Attributes:
        size (tuple[int, int]): Height and width.
        masks (list[ForeignMask]): They may overlap; may be empty.
        unknown (np.ndarray, optional): bool ``(H, W)``, pixels that the
            maker does not know. Defaults to None.
    """
    size: Tuple[int, int]
    masks: List[ForeignMask]
    unknown: Optional[np.ndarray] = None


class Source(Protocol):
    """Files of one kind.

    Attributes:
        path (str): File or folder, for messages.
        names (tuple[str, ...], optional): All names that it may use; None
            if its images alone tell.
    """
    path: str
    names: Optional[Tuple[str, ...]]

    def read(self, img_id: str) -> ForeignImage:
        """The masks of an image.

        Args:
            img_id (str): Its id.

        Returns:
            ForeignImage: In the order of the source; with score 1 where it
            has none.

        Raises:
            InputError: No such image, or something in it that is no mask;
                the file and the entry at fault are named.
        """


def check_score(value: Any, where: str) -> float:
    """Refuse what is no score.

    Args:
        value (Any): Of a JSON file.
        where (str): File and entry, for the message.

    Returns:
        float: The value.

    Raises:
        InputError: No number in [0, 1].
    """
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise InputError(f"{where}: 'score' is {str(value)[:40]!r}, not a "
                         'number in [0, 1]')
    return float(value)
