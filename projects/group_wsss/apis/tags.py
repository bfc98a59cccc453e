# Copyright (c) group_wsss contributors. All rights reserved.
"""Tags of images: given by a user, or predicted."""
import difflib
from typing import Any, List, Sequence

import numpy as np

from ..utils.errors import InputError


def read_tags(tags: Any, count: int,
              classes: Sequence[str]) -> List[List[int]]:
    """Class ids of each image.

    Args:
        tags (Sequence): Names or ids, one list for all images; or one
            such list for each of them, which may be empty.
        count (int): Number of images.
        classes (Sequence[str]): Class names.

    Returns:
        list[list[int]]: Sorted ids, each once.

    Raises:
        InputError: Another number of lists, an unknown name, an id out of
            range.
    """
    if isinstance(tags, (str, int, np.integer)):
        tags = [tags]
    if not isinstance(tags, (list, tuple, np.ndarray)) or not len(tags):
        raise InputError(f'tags={tags!r}: give a list of names or ids, or '
                         'None to have them predicted')
    if not any(isinstance(tag, (list, tuple, np.ndarray)) for tag in tags):
        return [_ids(tags, classes)] * count
    if len(tags) != count:
        raise InputError(f'tags are {len(tags)} lists for {count} '
                         'images: give one list for each, or one for '
                         'all')
    return [_ids(own, classes) for own in tags]


def _ids(tags: Any, classes: Sequence[str]) -> List[int]:
    if not isinstance(tags, (list, tuple, np.ndarray)):
        raise InputError(f'tags: {tags!r} among lists of tags')
    return sorted({_id(tag, classes) for tag in tags})


def _id(tag: Any, classes: Sequence[str]) -> int:
    if isinstance(tag, str):
        if tag in classes:
            return list(classes).index(tag)
        close = difflib.get_close_matches(tag, classes, 1)
        hint = f'did you mean {close[0]!r}?' if close else (
            f'the {len(classes)} classes are {", ".join(classes)}')
        raise InputError(f'unknown tag {tag!r}: {hint}')
    if not isinstance(tag, (int, np.integer)) or isinstance(tag, bool):
        raise InputError(f'tag {tag!r} is neither a name nor an id')
    number = int(tag)
    if not 0 <= number < len(classes):
        raise InputError(f'tag {number} is out of range '
                         f'0..{len(classes) - 1}')
    return number


def predict_tags(scores: np.ndarray, threshold: float) -> List[int]:
    """Classes that an image shows, by its scores.

    Args:
        scores (np.ndarray): ``(C, )``.
        threshold (float): Score from which a class counts.

    Returns:
        list[int]: Sorted ids; the class of the highest score (of equal ones
        the first) if none reaches the threshold.
    """
    found = np.flatnonzero(scores >= threshold).tolist()
    return found or [int(scores.argmax())]
