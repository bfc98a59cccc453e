# Copyright (c) group_wsss contributors. All rights reserved.
"""Compare a folder of label PNGs with a folder of masks."""
from functools import partial
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import numpy as np

from ..structures.dump import label_ids
from ..structures.folders import find_ids, require_files
from ..utils.errors import InputError
from ..utils.files import output_path
from ..utils.pool import Pool, no_progress
from .confusion import (UNKNOWN_MODES, class_scores, confusion_matrix,
                        mean_known)
from .masks import check_masks, read_mask

# images that a process takes at a time
_CHUNK = 32


def _count(ids: Sequence[str], pred_dir: str, mask_dir: str,
           num_classes: int) -> Tuple[np.ndarray, np.ndarray, int]:
    """Confusion matrix, images per mask class, ignored mask pixels."""
    confusion = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
    images = np.zeros(num_classes, dtype=np.int64)
    ignored = 0
    for img_id in ids:
        mask = read_mask(output_path(mask_dir, img_id, '.png'), num_classes)
        # a prediction's 255 means unknown, so it passes like a mask's
        pred = read_mask(
            output_path(pred_dir, img_id, '.png'),
            num_classes,
            mask.shape,
            other='mask')
        one = confusion_matrix(pred, mask, num_classes)
        confusion += one
        images += one.any(axis=1)
        ignored += mask.size - int(one.sum())
    return confusion, images, ignored


def evaluate_folder(
        pred_dir: str,
        mask_dir: str,
        classes: Sequence[str],
        ids: Optional[Sequence[str]] = None,
        nproc: int = 1,
        progress: Callable[[int, int], None] = no_progress) -> Dict[str, Any]:
    """IoU of label PNGs against masks.

    What a *predicted* 255 (unknown) counts as decides the figure, so three
    are given. The first is the one to quote: it cannot be raised by leaving
    difficult pixels unlabelled.

    - ``mIoU``: an unknown pixel is a miss of its mask class and no class's
      false alarm;
    - ``mIoU_known``: unknown pixels are left out, so only what stage 2
      would train on counts;
    - ``mIoU_unknown_as_background``: unknown counts as background, as the
      scripts of IRN and its successors do.

    Without unknown pixels all three agree. A class that occurs neither in
    predictions nor in masks has NaN and is left out of the mean. Pixels of
    value 255 in a *mask* are never counted; their share is told.

    Args:
        pred_dir (str): Folder of index PNGs.
        mask_dir (str): Folder of index PNGs of the same names.
        classes (Sequence[str]): Class names without background.
        ids (Sequence[str], optional): Images to compare. Defaults to
            those of the dump in ``pred_dir``, or all of a foreign folder.
        nproc (int): Number of processes. Defaults to 1.
        progress (Callable): Told the images done and their number.

    Returns:
        dict: The three means and ``unknown_share`` (of the pixels that
        count) in percent, ``ignored`` (a sentence on the pixels that do
        not, None if they are few), ``images``,
        ``masks_without_prediction`` (only told if ``ids`` is None),
        ``confusion`` ``(N, N + 1)`` as lists, and
        ``per_class``: by name ``iou``, ``precision``, ``recall``,
        ``iou_known`` (percent, NaN as above) and ``images`` (whose mask has
        the class).

    Raises:
        InputError: Missing predictions or masks (with their number), an
            unreadable or misfitting file (named); no mask shows a class but
            background.
    """
    names = ('background', *classes)
    spare = None
    everything = ids is None
    ids = label_ids(pred_dir, ids)
    if everything:
        spare = len(set(find_ids(mask_dir)) - set(ids))
    if not ids:
        raise InputError(f'{pred_dir}: no label PNG found')
    require_files(ids, pred_dir, '.png', 'prediction')
    require_files(ids, mask_dir, '.png', 'mask')
    count = partial(
        _count, pred_dir=pred_dir, mask_dir=mask_dir, num_classes=len(names))
    confusion, images, ignored = count(())
    with Pool(nproc) as pool:
        for part in pool.map_chunks(count, ids, progress, _CHUNK):
            confusion += part[0]
            images += part[1]
            ignored += part[2]
    note = check_masks(mask_dir, confusion.sum(axis=1), ignored)
    total = confusion.sum()
    scores = {mode: class_scores(confusion, mode) for mode in UNKNOWN_MODES}
    means = {k: 100 * mean_known(found['iou']) for k, found in scores.items()}
    figures = dict(scores['wrong'], iou_known=scores['ignored']['iou'])
    per_class: Dict[str, Dict[str, Any]] = {}
    for i, name in enumerate(names):
        per_class[name] = {k: 100 * float(x[i]) for k, x in figures.items()}
        per_class[name]['images'] = int(images[i])
    return dict(
        mIoU=means['wrong'],
        mIoU_known=means['ignored'],
        mIoU_unknown_as_background=means['background'],
        unknown_share=100 *
        float(confusion[:, -1].sum() / total) if total else float('nan'),
        images=len(ids),
        masks_without_prediction=spare,
        per_class=per_class,
        confusion=confusion.tolist(),
        ignored=note)
