# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Dict, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ...registry import METRICS
from ...structures import ScoreMap
from ...utils.errors import InputError
from ...utils.files import output_path
from ..confusion import (SWEEP, SweepCounts, divide, mean_known, sweep_areas,
                         sweep_counts)
from ..masks import check_masks, read_mask
from ..table import format_table


@METRICS.register_module()
class CAMIoU(BaseMetric):
    """IoU of class maps at a fixed threshold and over a sweep.

    At threshold ``t`` a pixel has its strongest class where that score is
    above ``t`` and is background otherwise, exactly as ``ThresholdLabeler``
    labels it. Masks are read here, by image id, and reach nothing else: they
    serve evaluation alone.

    The background threshold of weakly supervised work is usually tuned on
    masks; ``mIoU`` is the honest figure, ``best_mIoU`` an upper bound.

    A class that occurs at a threshold neither in predictions nor in masks is
    left out of that threshold's mean. Results are kept by image id, so
    samples that a distributed sampler repeats count once.

    Args:
        ann_dir (str): Folder of index PNGs, ``<ann_dir>/<img_id><suffix>``;
            0 is background, 255 is not counted.
        seg_suffix (str): Ending of the mask files. Defaults to ``'.png'``.
        bg_threshold (float): The fixed threshold; part of the sweep too.
            Defaults to 0.35.
        thresholds (Sequence[float], optional): The sweep. Defaults to 0,
            0.01, ..., 0.95.
        num_classes (int, optional): Background included. Defaults to the
            number of ``classes`` in the dataset's metainfo plus 1.
        min_images (int, optional): Also report ``mIoU_min<min_images>``,
            the mean over classes whose masks occur in at least so many
            images (6 is a usual choice), at the fixed threshold. Defaults
            to None.
        collect_device (str): ``'cpu'`` or ``'gpu'``. Defaults to ``'cpu'``.
        prefix (str, optional): Defaults to ``'cam'``.

    Raises:
        InputError: A mask is missing, of another size than its image,
            or has a value that is no class; the file is named. Or no mask
            shows a class but background.
    """

    default_prefix = 'cam'

    def __init__(self,
                 ann_dir: str,
                 seg_suffix: str = '.png',
                 bg_threshold: float = 0.35,
                 thresholds: Optional[Sequence[float]] = None,
                 num_classes: Optional[int] = None,
                 min_images: Optional[int] = None,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ann_dir = ann_dir
        self.seg_suffix = seg_suffix
        self.bg_threshold = float(bg_threshold)
        sweep = SWEEP if thresholds is None else np.asarray(
            thresholds, np.float64)
        self.thresholds = np.unique(np.append(sweep, self.bg_threshold))
        assert self.thresholds[0] >= 0 and self.thresholds[-1] <= 1, (
            'thresholds must be in [0, 1]')
        self._num_classes = num_classes
        self.min_images = min_images

    @property
    def class_names(self) -> Sequence[str]:
        """Sequence[str]: Background and the dataset's classes."""
        names = (self.dataset_meta or {}).get('classes')
        count = self._num_classes
        if count is None and names is None:
            raise InputError('CAMIoU: the dataset has no classes in its '
                             'metainfo; set num_classes')
        if names is None or (count and len(names) + 1 != count):
            names = [f'class {i}' for i in range(1, count or 1)]
        return ('background', *names)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Compare the predicted class maps of a batch with their masks.

        Args:
            data_batch (Any): As the runner hands it over.
            data_samples (Sequence[dict]): Predictions with ``img_id``,
                ``ori_shape``, ``class_ids`` and ``class_maps``.
        """
        num_classes = len(self.class_names)
        for sample in data_samples:
            score_map = ScoreMap.from_sample(sample).resize()
            score_map.require_classes(num_classes - 1,
                                      f'image {score_map.img_id!r}')
            path = output_path(self.ann_dir, score_map.img_id, self.seg_suffix)
            mask = read_mask(path, num_classes, score_map.ori_shape)
            counts = sweep_counts(*score_map.best(), mask, self.thresholds,
                                  num_classes)
            ignored = mask.size - int(counts.truth.sum())
            self.results.append((score_map.img_id, (counts, ignored)))

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Means over classes, in percent.

        Args:
            results (list): ``(img_id, (SweepCounts, ignored pixels))`` of
                all ranks.

        Returns:
            dict[str, float]: ``mIoU``, ``best_mIoU``, ``best_threshold``
            and, if asked for, ``mIoU_min<n>``.
        """
        names = self.class_names
        # mmengine has turned the named tuples into plain ones
        items = list(dict(results).values())
        counts = [SweepCounts(*item) for item, _ in items]
        hit, pred, truth = sweep_areas(counts, len(names),
                                       len(self.thresholds))
        note = check_masks(self.ann_dir, truth, sum(item[1] for item in items))
        iou = 100 * divide(hit, pred + truth - hit)  # (T, N)
        means = np.array([mean_known(row) for row in iou])
        fixed = int(np.flatnonzero(self.thresholds == self.bg_threshold)[0])
        # no image at all: every mean is NaN
        best = fixed if np.isnan(means).all() else int(np.nanargmax(means))
        images = sum((item.truth > 0 for item in counts),
                     np.zeros(len(names), dtype=np.int64))
        metrics = dict(
            mIoU=float(means[fixed]),
            best_mIoU=float(means[best]),
            best_threshold=float(self.thresholds[best]))
        if self.min_images is not None:
            metrics[f'mIoU_min{self.min_images}'] = mean_known(
                np.where(images >= self.min_images, iou[fixed], np.nan))
        rows = list(
            zip(names, iou[fixed].tolist(), iou[best].tolist(),
                images.tolist()))
        rows.append(
            ('mean', metrics['mIoU'], metrics['best_mIoU'], len(counts)))
        header = ('class', f'IoU at {self.bg_threshold:g}',
                  f'IoU at {self.thresholds[best]:g} (best)', 'images')
        left_out = int(np.isnan(iou[fixed]).sum())
        print_log(
            f'class maps against {self.ann_dir}\n' +
            format_table(header, rows) +
            (f'\n{left_out} classes (-) occur neither in predictions nor in '
             'masks and are left out of the mean' if left_out else '') +
            (f'\n{note}' if note else ''),
            logger='current')
        return metrics
