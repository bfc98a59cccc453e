# Copyright (c) group_wsss contributors. All rights reserved.
import os.path as osp
from typing import Dict, Sequence

import numpy as np
from mmengine.logging import print_log
from mmseg.evaluation import IoUMetric

from ...registry import METRICS
from ...structures.label_image import check_values
from ..masks import check_masks


@METRICS.register_module()
class CheckedIoUMetric(IoUMetric):
    """mmseg's ``IoUMetric``, which refuses masks that judge nothing.

    Its figures are those of ``IoUMetric``, which leaves out mask values that
    are no class without a word. The log tells the share of mask pixels that
    are ignored, if it is more than 1 %.

    Args:
        **kwargs: Of ``mmseg.IoUMetric``.

    Raises:
        InputError: A mask has a value that is neither a class nor
            ``ignore_index`` (the file is named), or no mask shows a class
            but background (the folder is named).
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Check the masks of a batch and compare.

        Args:
            data_batch (dict): As the runner hands it over.
            data_samples (Sequence[dict]): With ``pred_sem_seg`` and, unless
                ``format_only``, ``gt_sem_seg``.
        """
        before = len(self.results)
        super().process(data_batch, data_samples)
        for i, areas in enumerate(self.results[before:]):
            path = data_samples[i].get('seg_map_path') or 'masks'
            mask = data_samples[i]['gt_sem_seg']['data'].cpu().numpy()
            check_values(mask, path, len(self.dataset_meta['classes']),
                         self.ignore_index)
            ignored = int((mask == self.ignore_index).sum())
            self.results[before + i] = (areas, osp.dirname(path)
                                        or path, ignored)

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Compute the figures of ``IoUMetric``.

        Args:
            results (list): Areas, folder and ignored pixels of each mask.

        Returns:
            dict[str, float]: In percent, such as ``mIoU``.
        """
        areas = [item[0] for item in results]
        if areas:
            pixels = np.sum([item[3].cpu().numpy() for item in areas], axis=0)
            note = check_masks(results[0][1], pixels,
                               sum(item[2] for item in results),
                               self.ignore_index)
            if note:
                print_log(note, logger='current')
        return super().compute_metrics(areas)
