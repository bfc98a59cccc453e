# Copyright (c) group_wsss contributors. All rights reserved.
"""One pass over the images of a dump: all that a report needs, as counts."""
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Union

import numpy as np

from ...evaluation.boundary_iou import boundary_counts
from ...evaluation.confusion import (SweepCounts, class_scores,
                                     confusion_matrix, mean_known, sweep_areas,
                                     sweep_counts)
from ...evaluation.masks import read_mask
from ...pseudo_labels.thresholds import score_histogram
from ...structures import IGNORE_INDEX, Dump
from ...utils.errors import InputError
from ...utils.files import output_path
from .activation import total_shares
from .co_occurrence import pair_counts
from .label_stats import label_stats


class DumpCounts(NamedTuple):
    """Counts that add up over images, and a row about each image."""
    totals: Dict[str, np.ndarray]
    rows: List[Dict[str, Any]]

    def add(self, totals: Dict[str, np.ndarray],
            rows: Sequence[Dict[str, Any]]) -> None:
        """Add images; whole numbers, so their order is no matter."""
        for name, count in totals.items():
            self.totals[name] = self.totals.get(name, 0) + count
        self.rows.extend(rows)


def count_images(ids: Sequence[str],
                 dump: Dump,
                 mask_dir: Optional[str],
                 thresholds: Union[Sequence[float], np.ndarray],
                 fixed: Optional[float] = None) -> DumpCounts:
    """Read some images of a dump.

    Args:
        ids (Sequence[str]): Their ids, at least one.
        dump (Dump): The dump.
        mask_dir (str, optional): Folder of masks.
        thresholds (Sequence[float]): ``T`` ascending ones, of the curve.
        fixed (float, optional): Threshold that is said to have made the
            labels. Defaults to None, not known.

    Returns:
        DumpCounts: ``totals`` always has ``pixels`` ``(N + 1, )``,
        ``images``, ``components``, ``specks``, ``tagged``, ``tag_missed``
        and ``untagged``, all ``(N, )``; with scores also ``agreement``
        ``(2, )``; with masks also ``confusion`` ``(N, N + 1)``,
        ``mask_images`` ``(N, )``, ``boundary`` ``(2, N)`` and ``pairs``
        ``(3, N, N)``; with both ``hit`` ``(T, N)``, ``pred`` ``(T, N)`` and
        ``truth`` ``(N, )``.

    Raises:
        InputError: A file is unreadable or misfits; it is named.
    """
    counts = DumpCounts({}, [])
    sweeps: List[SweepCounts] = []
    size = len(dump.names)
    for img_id in ids:
        label = dump.read_label(img_id)
        totals: Dict[str, np.ndarray] = {}
        row: Dict[str, Any] = dict(
            id=img_id, height=label.shape[0], width=label.shape[1])
        mask = best = None
        tags: Optional[List[int]] = None
        if mask_dir is not None:
            mask = read_mask(
                output_path(mask_dir, img_id, '.png'), size, label.shape,
                other='label')  # yapf: disable
            tags = np.unique(mask[(mask > 0)
                                  & (mask != IGNORE_INDEX)]).tolist()
        if dump.scores is not None:
            score_map = dump.read_scores(img_id)
            if score_map.ori_shape != label.shape:
                raise InputError(
                    f'{dump.scores}/{img_id}.npz: scores of '
                    f'{score_map.ori_shape} pixels (height, width), its '
                    f'label has {label.shape}')
            tags = (score_map.class_ids + 1).tolist()
            best = score_map.resize().best()
            totals['agreement'] = _agreement(*best, label, fixed)
        if dump.tags is not None:
            tags = list(dump.tags[img_id])
        _count_label(label, tags, dump, totals, row)
        if mask is not None and tags is not None:
            _count_errors(label, mask, tags, dump, totals, row)
            if best is not None:
                sweeps.append(sweep_counts(*best, mask, thresholds, size))
        counts.add(totals, [row])
    if sweeps:
        areas = sweep_areas(sweeps, size, len(thresholds))
        counts.add(dict(zip(('hit', 'pred', 'truth'), areas)), [])
    return counts


def count_scores(ids: Sequence[str], dump: Dump) -> np.ndarray:
    """Histogram of the best scores of some images.

    Args:
        ids (Sequence[str]): Their ids, at least one.
        dump (Dump): A dump with scores.

    Returns:
        np.ndarray: Sum of
        :func:`group_wsss.pseudo_labels.thresholds.score_histogram`.

    Raises:
        InputError: A score map is damaged or misfits; it is named.
    """
    return np.sum([score_histogram(dump.read_scores(i)) for i in ids], axis=0)


def _agreement(score: np.ndarray, best: np.ndarray, label: np.ndarray,
               threshold: Optional[float]) -> np.ndarray:
    """Pixels that are not unknown; those labelled as the scores tell."""
    if threshold is None:
        return np.zeros(2, dtype=np.int64)
    plain = np.where(score > np.float32(threshold), best, 0)
    return np.array([(label != IGNORE_INDEX).sum(), (plain == label).sum()])


def _count_label(label: np.ndarray, tags: Optional[Sequence[int]], dump: Dump,
                 totals: Dict[str, np.ndarray], row: Dict[str, Any]) -> None:
    """Add the counts that need no mask."""
    stats = label_stats(label, len(dump.names))
    found = stats.pixels[:-1] > 0
    tagged = np.zeros(len(dump.names), dtype=np.int64)
    tagged[list(tags or ())] = 1
    missed = tagged * ~found
    untagged = (1 - tagged) * found * (tags is not None)
    untagged[0] = 0
    totals.update(
        pixels=stats.pixels,
        images=found.astype(np.int64),
        components=stats.components,
        specks=stats.specks,
        tagged=tagged,
        tag_missed=missed,
        untagged=untagged)
    row.update(
        unknown_share=100 * float(stats.pixels[-1] / label.size),
        foreground_share=100 * float(stats.pixels[1:-1].sum() / label.size),
        components=int(stats.components.sum()),
        tags=None if tags is None else [dump.names[i] for i in tags],
        missed_tags=[dump.names[i] for i in np.flatnonzero(missed)])


def _count_errors(label: np.ndarray, mask: np.ndarray, tags: Sequence[int],
                  dump: Dump, totals: Dict[str, np.ndarray],
                  row: Dict[str, Any]) -> None:
    """Add the counts against the mask."""
    size = len(dump.names)
    confusion = confusion_matrix(label, mask, size)
    totals.update(
        confusion=confusion,
        mask_images=np.any(confusion, axis=1).astype(np.int64),
        boundary=np.stack(boundary_counts(label, mask, size)),
        pairs=pair_counts(confusion, tags))
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    a, b = np.unravel_index(wrong.argmax(), wrong.shape)
    named = (*dump.names, 'unknown') if wrong.any() else None
    row.update(
        mIoU=100 * mean_known(class_scores(confusion)['iou']),
        **total_shares(confusion),
        worst_mask_class=named and named[a],
        worst_label_class=named and named[b],
        worst_share=100 * float(wrong[a, b] / max(confusion.sum(), 1)))
