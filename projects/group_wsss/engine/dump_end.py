# Copyright (c) group_wsss contributors. All rights reserved.
"""The end of a dump that the processes of a runner have written."""
import time
from typing import Any, Dict, Optional

import numpy as np
from mmengine.dist import all_gather_object, barrier, get_rank, is_main_process
from mmengine.runner import Runner

from ..pseudo_labels import LabelDump
from ..utils.progress import Progress
from .supervision import model_supervision
from .utils import dataset_paths, describe_checkpoint, gather_dicts


def finish_dump(runner: Runner,
                dump: LabelDump,
                dataset: Any,
                checkpoint: Optional[str],
                start: float,
                corrupt: Optional[Dict[str, str]] = None,
                **facts: Any) -> None:
    """Label what waits and, once every rank is done, write the manifest.

    Args:
        runner (Runner): The runner; all its processes call this.
        dump (LabelDump): This rank's.
        dataset (Any): Where the images come from.
        checkpoint (str, optional): Of the weights that made the labels.
        start (float): ``time.perf_counter`` when the dump was begun.
        corrupt (dict[str, str], optional): Image id and reason of what could
            not be read. Defaults to none.
        **facts: Passed to ``DumpWriter.finish``.

    Raises:
        NonFiniteError: No image has a label.
    """
    # the first process speaks for all
    tell = [Progress('label images')] if is_main_process() else []
    dump.finish(_total_histogram, *tell)
    counts = gather_dicts(dump.writer.counts)
    left_out = gather_dicts(dump.left_out)
    dump.check_any(counts, left_out)
    if is_main_process():
        dump.clean_up()
        corrupt = corrupt or {}
        manifest = dump.writer.finish(
            counts,
            config=runner.cfg.pretty_text,
            checkpoint=describe_checkpoint(checkpoint),
            chosen_thresholds=dump.thresholds,
            supervision=model_supervision(runner.model) + dump.supervision,
            skipped={**corrupt, **left_out},
            image_paths=dataset_paths(dataset),
            seed=runner.seed,
            duration=round(time.perf_counter() - start, 3),
            **facts)  # yapf: disable
        out_dir = dump.writer.out_dir
        for skipped, what in ((corrupt, 'corrupt images have'),
                              (left_out, 'images whose class maps hold NaN '
                               'or infinity have')):
            if skipped:
                runner.logger.warning(f'{len(skipped)} {what} no label, '
                                      f'listed in {out_dir}/skipped.txt')
        text = f'{len(counts)} label images in {out_dir}'
        share = manifest['unknown_share']
        if share is not None:
            text += f', {100 * share:.2f} % of their pixels unknown'
        runner.logger.info(text)
    barrier()


def _total_histogram(dump: LabelDump) -> np.ndarray:
    """Histogram of the scores of all ranks.

    An image that several ranks have (see :func:`gather_dicts`) counts once,
    so that thresholds do not depend on the number of ranks.
    """
    ids = all_gather_object(list(dump.waiting))
    dump.leave_out(set().union(*ids[:get_rank()]))
    return sum(all_gather_object(dump.histogram))
