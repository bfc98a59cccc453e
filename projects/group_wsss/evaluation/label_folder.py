# Copyright (c) group_wsss contributors. All rights reserved.
"""Compare a folder of label PNGs with a folder of masks."""
from functools import partial
from typing import Any, Callable, Dict, Optional, Sequence, Tuple, Union

import numpy as np

from ..structures.dump import label_ids
from ..structures.folders import find_ids, require_files
from ..utils.errors import InputError
from ..utils.files import output_path
from ..utils.pool import Pool, no_progress
from .confusion import class_scores, confusion_matrix, mean_known
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
        classes: Optional[Sequence[str]] = None,
        num_classes: Optional[int] = None,
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
        classes (Sequence[str], optional): Class names without background.
        num_classes (int, optional): Number of classes without background;
            needed if ``classes`` is not given.
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
    if classes is None:
        assert num_classes is not None, 'give classes or num_classes'
        classes = [f'class {i}' for i in range(1, num_classes + 1)]
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
    confusion = np.zeros((len(names), len(names) + 1), dtype=np.int64)
    images = np.zeros(len(names), dtype=np.int64)
    ignored = 0
    with Pool(nproc) as pool:
        for part in pool.map_chunks(count, ids, progress, _CHUNK):
            confusion += part[0]
            images += part[1]
            ignored += part[2]
    note = check_masks(mask_dir, confusion.sum(axis=1), ignored)
    return dict(
        _summary(confusion, images, names, len(ids), spare), ignored=note)


def _summary(confusion: np.ndarray, images: np.ndarray, names: Sequence[str],
             num_images: int, spare: Optional[int]) -> Dict[str, Any]:
    """The returned dict of :func:`evaluate_folder`."""
    main = class_scores(confusion, 'wrong')
    known = class_scores(confusion, 'ignored')
    background = class_scores(confusion, 'background')
    total = confusion.sum()
    per_class: Dict[str, Dict[str, Union[float, int]]] = {}
    for i, name in enumerate(names):
        per_class[name] = dict(
            iou=100 * float(main['iou'][i]),
            precision=100 * float(main['precision'][i]),
            recall=100 * float(main['recall'][i]),
            iou_known=100 * float(known['iou'][i]),
            images=int(images[i]))
    return dict(
        mIoU=100 * mean_known(main['iou']),
        mIoU_known=100 * mean_known(known['iou']),
        mIoU_unknown_as_background=100 * mean_known(background['iou']),
        unknown_share=100 *
        float(confusion[:, -1].sum() / total) if total else float('nan'),
        images=num_images,
        masks_without_prediction=spare,
        per_class=per_class,
        confusion=confusion.tolist())
