# Copyright (c) group_wsss contributors. All rights reserved.
"""Element-wise maximum of score maps by image id, in memory and on disk."""
import os
import os.path as osp
import re
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

import numpy as np

from ..evaluation import find_ids
from ..structures import ScoreMap
from ..utils.errors import InputError
from ..utils.files import check_inside, output_path


class ScoreAccumulator:
    """Keep the maximum of all score maps of an image.

    Maps are float16 in memory as on disk. Rounding is monotonic, so the
    maximum of rounded maps is the rounded maximum, and flushing early, late
    or twice changes nothing.

    Args:
        folder (str): ``<folder>/<img_id>.npz``.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        # image id -> image's size, class ids and float16 maps
        self._maps: Dict[str, Tuple[tuple, np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self._maps)

    def merge(self, score_map: ScoreMap) -> None:
        """Merge the maps of an image into those in memory.

        Args:
            score_map (ScoreMap): Of any size; different sizes of one image
                meet on the larger height and width. Without a class there
                is nothing to keep.
        """
        if not len(score_map.class_ids):
            return
        img_id = score_map.img_id
        if img_id in self._maps:
            held = ScoreMap(img_id, *self._maps[img_id])
            score_map = held.merge_max(score_map)
        self._maps[img_id] = (score_map.ori_shape, score_map.class_ids,
                              score_map.maps.astype(np.float16))

    def flush(self) -> None:
        """Merge what is in memory into the files and forget it."""
        for img_id in list(self._maps):
            score_map = ScoreMap(img_id, *self._maps[img_id])
            path = output_path(self.folder, img_id, '.npz')
            check_inside(osp.dirname(path), osp.dirname(self.folder))
            if osp.exists(path):
                score_map = ScoreMap.load_of(path, img_id).merge_max(score_map)
            score_map.save(path)
            del self._maps[img_id]


def rank_folders(out_dir: str, last: bool = False) -> List[str]:
    """Folders of all ranks, those of a larger earlier world included.

    Args:
        out_dir (str): Folder of the accumulation.
        last (bool): Those with the last epoch's weak maps instead. Defaults
            to False.
    """
    name = re.compile(r'rank\d+' + '_last' * last)
    return sorted(
        str(path) for path in Path(out_dir).glob('rank*')
        if name.fullmatch(path.name))


def remove_score_maps(folders: List[str]) -> int:
    """Remove the npz files below folders, and nothing else.

    Args:
        folders (list[str]): They may be missing.

    Returns:
        int: Number of removed files.
    """
    removed = 0
    for folder in folders:
        if not osp.isdir(folder):
            continue
        check_inside(folder, osp.dirname(folder))
        for img_id in find_ids(folder, '.npz'):
            path = output_path(folder, img_id, '.npz')
            try:
                os.remove(path)
            except OSError as error:
                raise InputError(f'{path}: cannot be removed: '
                                 f'{error.strerror or error}') from None
            removed += 1
    return removed


def stored_ids(out_dir: str) -> List[str]:
    """Sorted ids of all images that any rank has maps of."""
    folders = rank_folders(out_dir) + rank_folders(out_dir, last=True)
    return sorted(
        {img_id
         for folder in folders
         for img_id in find_ids(folder, '.npz')})


def merged_maps(out_dir: str, ids: List[str]) -> Iterator[ScoreMap]:
    """Maximum over ranks, image by image.

    A class that has no map is taken from the weak maps of the last epoch, if
    there are any.

    Args:
        out_dir (str): Folder of the accumulation.
        ids (list[str]): Of :func:`stored_ids`.

    Yields:
        ScoreMap: Of each id.
    """
    strong = rank_folders(out_dir)
    weak = rank_folders(out_dir, last=True)
    for img_id in ids:
        merged = _merge(strong, img_id)
        spare = _merge(weak, img_id)
        if merged is not None and spare is not None:
            missing = ~np.isin(spare.class_ids, merged.class_ids)
            if missing.any():
                merged = merged.merge_max(
                    ScoreMap(img_id, spare.ori_shape, spare.class_ids[missing],
                             spare.maps[missing]))
        merged = merged or spare
        if merged is not None:
            yield merged


def _merge(folders: List[str], img_id: str) -> Optional[ScoreMap]:
    """Maximum over the folders that know the image."""
    merged = None
    for folder in folders:
        path = output_path(folder, img_id, '.npz')
        if osp.exists(path):
            one = ScoreMap.load_of(path, img_id)
            merged = one if merged is None else merged.merge_max(one)
    return merged
