# Copyright (c) group_wsss contributors. All rights reserved.
"""Replacements for an image that cannot be read."""
import hashlib
import heapq
from typing import Any, List, Tuple

# candidates that are remembered for an image
MOST = 64


def id_key(img_id: str) -> int:
    """64-bit hash of an image id, the same in every process and year."""
    data = img_id.encode('utf-8', 'surrogatepass')
    return int.from_bytes(
        hashlib.blake2b(data, digest_size=8).digest(), 'little')


def stand_ins(dataset: Any, idx: int, count: int = MOST) -> List[int]:
    """Images that may take the place of another one, best first.

    Those with the same classes come first, then those with all of its
    classes and the fewest others, then those that share fewer. A group is
    held together by a class that the image had: only the last kind may
    lack it. Equals are ordered by a hash of both ids, so that the choice
    depends neither on the process nor on the order of the list.

    Args:
        dataset (ImageLevelDataset): Where they come from; looked through
            once.
        idx (int): Position of the image.
        count (int): Most candidates. Defaults to 64.

    Returns:
        list[int]: Positions; images without a class in common are left
        out, unless the image has none.
    """
    info = dataset.get_data_info(idx)
    wanted = set(info['gt_label'].tolist())

    def rank(other: int) -> Tuple[int, int, int, int]:
        found = dataset.get_data_info(other)
        labels = set(found['gt_label'].tolist())
        return (-len(wanted & labels), len(labels - wanted),
                id_key(f'{info["img_id"]}\n{found["img_id"]}'), other)

    best = heapq.nsmallest(count,
                           (rank(i) for i in range(len(dataset)) if i != idx))
    return [place for shared, _, _, place in best if shared or not wanted]
