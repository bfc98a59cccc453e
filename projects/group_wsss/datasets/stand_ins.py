# Copyright (c) group_wsss contributors. All rights reserved.
"""Replacements for an image that cannot be read."""
import hashlib
import heapq
from itertools import groupby
from typing import Any, Callable, FrozenSet, Iterable, List, Tuple

from ..utils.errors import CorruptImageError, InputError

# candidates that are remembered for an image
MOST = 64


def id_key(img_id: str) -> int:
    """64-bit hash of an image id, the same in every process and year."""
    data = img_id.encode('utf-8', 'surrogatepass')
    return int.from_bytes(
        hashlib.blake2b(data, digest_size=8).digest(), 'little')


def stand_ins(dataset: Any, idx: int) -> List[int]:
    """Images that may take the place of another one, best first.

    Those with the same classes come first, then those with all of its
    classes and the fewest others, then those that share fewer. A group is
    held together by a class that the image had: only the last kind may
    lack it. Equals are ordered by a hash of both ids, so that the choice
    depends neither on the process nor on the order of the list.

    Args:
        dataset (ImageLevelDataset): Where they come from.
        idx (int): Position of the image.

    Returns:
        list[int]: At most ``MOST`` positions; images without a class in
        common are left out, unless the image has none.
    """
    info = dataset.get_data_info(idx)
    wanted = frozenset(info['gt_label'].tolist())

    def rank(labels: FrozenSet[int]) -> Tuple[int, int]:
        return -len(wanted & labels), len(labels - wanted)

    def order(other: int) -> Tuple[int, int]:
        img_id = dataset.get_data_info(other)['img_id']
        return id_key(f'{info["img_id"]}\n{img_id}'), other

    places = dataset.places_by_labels
    best: List[int] = []
    # all images of a rank are asked for their ids, and no others
    for (shared, _), sets in groupby(sorted(places, key=rank), rank):
        if len(best) >= MOST or not shared and wanted:
            break
        equals = (i for labels in sets for i in places[labels] if i != idx)
        best += heapq.nsmallest(MOST - len(best), equals, order)
    return best


def first_readable(places: Iterable[int], load: Callable[[int], Any],
                   reason: str) -> Tuple[int, Any]:
    """The first of the images that is not corrupt, and what it holds."""
    for place in places:
        try:
            return place, load(place)
        except CorruptImageError:
            continue
    raise InputError(f'{reason}; and no image with the same classes can take '
                     'its place')
