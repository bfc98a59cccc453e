# Copyright (c) group_wsss contributors. All rights reserved.
"""Refine and label score maps that were saved before, without a runner."""
import os.path as osp
import time
from functools import partial
from typing import (Any, Callable, Dict, List, NamedTuple, Optional, Sequence,
                    Tuple)

import numpy as np
import torch

from ..datasets import load_image
from ..evaluation import find_ids
from ..pseudo_labels import LabelDump, Refiners
from ..pseudo_labels.score_size import ScoreSize
from ..registry import TASK_UTILS
from ..structures import DumpWriter, ScoreMap
from ..structures.image_files import image_paths
from ..utils.errors import InputError
from ..utils.files import output_path
from ..utils.pool import Pool


class RefineJob(NamedTuple):
    """Job that every process is given.

    Args:
        scores_dir (str): Folder of ``<img_id>.npz``.
        out_dir (str): Folder of the new dump.
        classes (tuple[str]): Names without background.
        labeler (dict): Config.
        refiners (tuple[dict]): Configs.
        image_dir (str, optional): Folder of the images; None if no step
            reads them.
        image_paths (dict): Path below ``image_dir`` by image id, of all
            images if there is a folder. Defaults to none known.
        on_non_finite (str): As in ``LabelDump``. Defaults to 'error'.
        keep_scores (bool): Keep the refined maps.
        palette (list, optional): RGB of the labels.
    """
    scores_dir: str
    out_dir: str
    classes: Tuple[str, ...]
    labeler: dict
    refiners: Tuple[dict, ...]
    image_dir: Optional[str]
    keep_scores: bool
    palette: Optional[list]
    image_paths: Dict[str, str] = {}
    on_non_finite: str = 'error'


class _Image(NamedTuple):
    """An image, and the file that a step may read."""
    img_id: str
    file: Optional[str]


# this process's dump: building a refiner may mean loading a network
_own: List[LabelDump] = []


def _dump(job: RefineJob) -> LabelDump:
    """A dump with all its parts built."""
    writer = DumpWriter(job.out_dir, job.classes, job.palette)
    return LabelDump(writer, TASK_UTILS.build(dict(job.labeler)),
                     Refiners([dict(step) for step in job.refiners]),
                     job.keep_scores, job.on_non_finite)


def _advance(
    images: Sequence[_Image], job: RefineJob, thresholds: Sequence[float]
) -> Tuple[List[str], np.ndarray, Dict[str, np.ndarray], Dict[str, str]]:
    """Bring some images to the next stop.

    Returns:
        tuple: Their ids; their histogram there, or the label counts by image
        id; image id and reason of those that were left out.
    """
    if not _own:
        _own.append(_dump(job))
    dump = _own[0]
    dump.resume(thresholds)
    dump.waiting.clear()
    dump.writer.counts.clear()
    dump.left_out.clear()
    for img_id, file in images:
        image = None if file is None else partial(load_image, file)
        if thresholds:
            dump.take_waiting(img_id, image)
        else:
            path = output_path(job.scores_dir, img_id, '.npz')
            dump.take(ScoreMap.load_of(path, img_id), image)
    return ([img_id for img_id, _ in images], dump.histogram,
            dict(dump.writer.counts), dict(dump.left_out))


def refine_dump(job: RefineJob,
                ids: Optional[Sequence[str]] = None,
                nproc: int = 1,
                progress: Callable[[int, int], None] = lambda i, n: None,
                say: Callable[[str], None] = lambda line: None,
                supervision: Sequence[str] = ('I', ),
                **manifest: Any) -> Dict[str, Any]:
    """Make a dump of the score maps of another one.

    The bytes do not depend on the number of processes.

    Args:
        job (RefineJob): What to do.
        ids (Sequence[str], optional): Images. Defaults to all that
            have scores.
        nproc (int): Processes. Defaults to 1, this one.
        progress (Callable): Told the images done and their number.
        say (Callable): Told how much disk the score maps will need, if any
            are stored, when the first are there.
        supervision (Sequence[str]): Letters of what the score maps were
            made with, see ``Manifest``. Defaults to ``('I', )``.
        **manifest: Passed to ``DumpWriter.finish``.

    Returns:
        dict: The manifest.

    Raises:
        InputError: No scores, a file that is missing or damaged, a bad
            image, or a folder that cannot be written or whose disk is
            too small for the score maps.
    """
    ids = find_ids(job.scores_dir, '.npz') if ids is None else list(ids)
    if not ids:
        raise InputError(f'{job.scores_dir}: no score map (.npz) found')
    start = time.perf_counter()
    dump = _dump(job)  # whatever is wrong with the steps shows now
    dump.writer.begin()
    score_size = ScoreSize(dump, len(ids))
    images = [_Image(img_id, None) for img_id in ids]
    if job.image_dir is not None:
        paths = image_paths(ids, job.image_paths, job.scores_dir)
        images = [_Image(i, osp.join(job.image_dir, paths[i])) for i in ids]
    thresholds: List[float] = []
    counts: Dict[str, np.ndarray] = {}
    left_out: Dict[str, str] = {}
    done, total = 0, len(ids) * len(dump.parts)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the last bits may depend on it
    _own[:] = [dump]
    try:
        with Pool(nproc) as pool:
            for left in reversed(range(len(dump.parts))):
                histogram = np.zeros_like(dump.histogram)
                advance = partial(
                    _advance,
                    job=job._replace(image_paths={}),
                    thresholds=thresholds)
                for some, own, labelled, bad in pool.map_chunks(
                        advance, images,
                        lambda n, _: progress(done + n, total)):
                    histogram += own
                    counts.update(labelled)
                    left_out.update(bad)
                    for line in map(score_size.measure, some):
                        if line is not None:
                            say(line)
                if left:
                    dump.resume(thresholds)
                    dump.fit(histogram)
                    thresholds = dump.thresholds
                    done += len(images)
                    images = [x for x in images if x.img_id not in left_out]
                    total = done + len(images) * left
    finally:
        torch.set_num_threads(threads)
    dump.check_any(counts, left_out)
    dump.clean_up()
    return dump.writer.finish(
        dict(sorted(counts.items())),
        labeler=dict(job.labeler),
        refiners=list(job.refiners),
        chosen_thresholds=thresholds,
        supervision=[*supervision, *dump.supervision],
        skipped=left_out,
        image_paths=job.image_paths,
        duration=round(time.perf_counter() - start, 3),
        **manifest)
