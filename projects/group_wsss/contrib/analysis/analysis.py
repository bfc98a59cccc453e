# Copyright (c) group_wsss contributors. All rights reserved.
"""A report that explains a dump of labels."""
from functools import partial
from typing import Any, Callable, Dict, Optional

import numpy as np

from ...evaluation.confusion import SWEEP
from ...evaluation.masks import check_masks
from ...pseudo_labels.thresholds import NUM_BINS, THRESHOLDS
from ...structures import Dump
from ...structures.folders import require_files
from ...utils.pool import Pool, no_progress
from .dump_counts import DumpCounts, count_images, count_scores
from .report_sections import (curve_section, errors_section, labels_section,
                              per_class_section, scores_section, tags_section)

# images that a process takes at a time
_CHUNK = 32


def analyze_dump(
        dump: Dump,
        mask_dir: Optional[str] = None,
        nproc: int = 1,
        progress: Callable[[int, int], None] = no_progress) -> Dict[str, Any]:
    """Describe a dump, and judge it where masks are given.

    Masks are read here and reach nothing else. What is chosen on them, the
    oracle threshold, says so.

    Args:
        dump (Dump): The dump.
        mask_dir (str, optional): Folder of masks, PNGs of the same names.
            Defaults to None: nothing is judged.
        nproc (int): Number of processes; the report does not depend on it.
            Defaults to 1.
        progress (Callable): Told the looks at images done and their number.

    Returns:
        dict: Plain values ready for JSON but for NaN (a share of nothing).
        All shares and IoUs are in percent. ``dump`` says what was read;
        ``labels``, ``tags`` (None if unknown) and ``images`` (one row each)
        need no masks; ``scores`` (None without them) has the histogram of
        best scores, each image with the same weight, and the ``proposals``
        for the threshold that follow from it alone;
        ``errors`` (None without masks) has the means, the confusion
        matrix, ``worst`` images and ``pairs`` of classes; ``curve`` (None
        unless both are there) has ``points`` and those of them at the
        manifest's threshold (``fixed``), at the proposals (``mask_free``)
        and the best (``oracle``); ``per_class`` has one row a class.

    Raises:
        InputError: A mask is missing, a file unreadable or misfitting; it
            is named. No mask shows a class but background.
    """
    if mask_dir is not None:
        require_files(dump.ids, mask_dir, '.png', 'mask')
    ids = dump.ids
    total = len(ids) * (1 if dump.scores is None else 2)
    counts = DumpCounts({}, [])
    histogram = np.zeros(NUM_BINS, dtype=np.int64)
    proposals: Dict[str, float] = {}
    with Pool(nproc) as pool:
        if dump.scores is not None:
            score = partial(count_scores, dump=dump)
            for some in pool.map_chunks(score, ids,
                                        lambda done, _: progress(done, total),
                                        _CHUNK):
                histogram += some
            proposals = {
                name: float(rule(histogram))
                for name, rule in THRESHOLDS.items()
            }
        fixed = dump.bg_threshold
        chosen = [*proposals.values()] + ([] if fixed is None else [fixed])
        thresholds = np.unique(np.append(SWEEP, chosen))
        count = partial(
            count_images,
            dump=dump,
            mask_dir=mask_dir,
            thresholds=thresholds,
            fixed=fixed)
        before = total - len(ids)
        for part in pool.map_chunks(
                count, ids, lambda done, _: progress(before + done, total),
                _CHUNK):
            counts.add(*part)
    counts.rows.sort(key=lambda row: row['id'])
    totals, rows = counts.totals, counts.rows
    scores = tags = errors = curve = None
    if dump.tags_from(mask_dir) is not None:
        tags = tags_section(totals, rows)
    if dump.scores is not None:
        scores = scores_section(totals, histogram, proposals)
    notes = list(dump.notes)
    if mask_dir is not None:
        pixels = totals['confusion'].sum(axis=1)
        size = sum(row['height'] * row['width'] for row in rows)
        note = check_masks(mask_dir, pixels, int(size - pixels.sum()))
        notes += [note] if note else []
        errors = errors_section(totals, rows, dump.names)
        if dump.scores is not None:
            curve = curve_section(totals, thresholds, fixed, proposals)
    return dict(
        dump=dict(
            folder=dump.folder,
            masks=mask_dir,
            scores=dump.scores,
            classes=list(dump.names),
            labeler=dump.manifest and dump.manifest.labeler,
            bg_threshold=fixed,
            tags_from=dump.tags_from(mask_dir),
            notes=notes),
        labels=labels_section(totals, rows),
        tags=tags,
        scores=scores,
        errors=errors,
        curve=curve,
        per_class=per_class_section(totals, dump.names),
        images=rows)
