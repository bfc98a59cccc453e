# Copyright (c) group_wsss contributors. All rights reserved.
"""A dump of scores from foreign masks."""
import os.path as osp
from collections import Counter
from typing import Callable, Dict, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from ...pseudo_labels import ThresholdLabeler
from ...structures import IGNORE_INDEX, DumpWriter, ImageRecord, ScoreMap
from ...structures.manifest import SCORES
from ...utils.classes import class_positions
from ...utils.files import output_path
from ...utils.pool import no_progress
from .source import ForeignImage, Source


class Imported(NamedTuple):
    """What became of the masks.

    Attributes:
        images (int): Label images.
        taken (int): Masks of tags.
        untagged (int): Masks of classes that are no tag of their image.
        foreign (Counter): Masks by a name that is no class.
    """
    images: int
    taken: int
    untagged: int
    foreign: 'Counter[str]'


def import_masks(
    source: Source,
    records: Sequence[ImageRecord],
    classes: Sequence[str],
    out_dir: str,
    rename: Optional[Mapping[str, str]] = None,
    supervision: str = 'A',
    progress: Callable[[int, int], None] = no_progress,
) -> Imported:
    """Write the masks of the tags of each image as a dump with scores.

    The score of a class at a pixel is the largest of its masks there, and 0
    without one; a class that is no tag of the image is left out. The label
    is the class of the strongest score, unknown where the source says so and
    no mask lies, else background.

    Args:
        source (Source): Foreign files.
        records (Sequence[ImageRecord]): Images and tags.
        classes (Sequence[str]): Class names of the tags.
        out_dir (str): Folder of the dump.
        rename (Mapping[str, str], optional): Class by foreign name, where
            they differ. Defaults to none.
        supervision (str): Letters of ``Manifest.supervision`` for the masks.
            Defaults to ``'A'``, foreign masks.
        progress (Callable): Told the images done and their number.

    Returns:
        Imported: Counts.

    Raises:
        InputError: A file that is missing or damaged, a new name that is no
            class, or no name that is one.
    """
    rename = rename or {}
    where = f'the tags ({len(classes)} classes)'
    class_positions(rename.values(), '--rename', classes, where, strict=True)
    if source.names is not None:
        class_positions([rename.get(name, name) for name in source.names],
                        source.path, classes, where)
    known = {name: place for place, name in enumerate(classes)}
    ids = {name: known[rename.get(name, name)] for name in [*rename, *classes]}
    labeler = ThresholdLabeler(bg_threshold=0.0)
    writer = DumpWriter(out_dir, classes)
    writer.begin()
    counts: Dict[str, int] = dict(taken=0, untagged=0)
    foreign: 'Counter[str]' = Counter()
    for done, record in enumerate(records, 1):
        image = source.read(record.img_id)
        maps = _maps(image, record, ids, counts, foreign)
        score_map = ScoreMap(record.img_id, image.size, record.labels, maps)
        label = labeler(score_map)
        if image.unknown is not None:
            label[(label == 0) & image.unknown] = IGNORE_INDEX
        folder = osp.join(writer.staging, SCORES)
        score_map.save(output_path(folder, record.img_id, '.npz'))
        writer.write(record.img_id, label)
        progress(done, len(records))
    if foreign and not (counts['taken'] or counts['untagged']):
        class_positions(foreign, source.path, classes, where)
    writer.finish(
        supervision=['I', *supervision],
        image_paths={r.img_id: r.path
                     for r in records if r.path is not None})
    return Imported(len(records), counts['taken'], counts['untagged'], foreign)


def _maps(image: ForeignImage, record: ImageRecord, ids: Mapping[str, int],
          counts: Dict[str, int], foreign: 'Counter[str]') -> np.ndarray:
    """Maps of the tags, float32 ``(n, H, W)``; counts what it does."""
    maps = np.zeros((len(record.labels), *image.size), np.float32)
    for name, score, mask in image.masks:
        if name not in ids:
            foreign[name] += 1
        elif ids[name] not in record.labels:
            counts['untagged'] += 1
        else:
            counts['taken'] += 1
            one = maps[record.labels.index(ids[name])]
            one[mask] = np.maximum(one[mask], np.float32(score))
    return maps
