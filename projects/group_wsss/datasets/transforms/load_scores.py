# Copyright (c) group_wsss contributors. All rights reserved.
from pathlib import Path
from typing import Dict, Optional, Tuple

import numpy as np
from mmcv.transforms import BaseTransform

from ...registry import TRANSFORMS
from ...structures.manifest import SCORES, Manifest
from ...structures.score_map import ScoreMap
from ...utils.errors import InputError

# a score in 254 steps; 255 is unknown, as mmseg's transforms fill label maps
STEPS = 254
UNKNOWN_SCORE = 255
LABEL_COPY = 'gt_score_witness'
# key of a class's scores in `results`, given its label
SCORE_FIELD = 'gt_score_{}'


@TRANSFORMS.register_module()
class LoadScores(BaseTransform):
    """Load the scores that a dump kept beside its label images.

    Stage 1 keeps them with ``keep_scores=True`` of ``PseudoLabelHook``. The
    scores of each class go, at the size of the image, to a map of its
    own among the ``seg_fields``: whatever transform of mmseg moves the label
    moves them in the same way. ``PackScores`` hands them to the model. ::

        dict(type='LoadAnnotations', imdecode_backend='pillow'),
        dict(type='group_wsss.LoadScores'),
        ...
        dict(type='group_wsss.PackScores')

    The ``manifest.json`` of the dump also tells at which score a class and
    background are equal.

    Required keys: ``img``, ``gt_seg_map``, ``seg_map_path``,
    ``seg_fields``. Added keys: ``gt_score_<label>`` uint8 ``(H, W)`` for each
    class of the image, ``score_labels``, ``score_threshold`` (float or None)
    and ``gt_score_witness``, a copy of the label by which ``PackScores``
    knows that nothing was left behind. Transforms that mix images
    (``RandomMosaic``) are not supported.

    Args:
        scores_dir (str, optional): Folder of ``<img_id>.npz``. Defaults to
            None, which means ``scores`` in the folder of label images.

    Raises:
        InputError: No scores for a label image, scores of another size, or
            a dataset that renumbers its labels.
    """

    def __init__(self, scores_dir: Optional[str] = None) -> None:
        self.scores_dir = scores_dir
        self._thresholds: Dict[Path, Optional[float]] = {}

    def _find(self, seg_map_path: str) -> Tuple[Path, Path]:
        """File of scores of a label image, and the folder of all scores."""
        label = Path(seg_map_path).with_suffix('.npz')
        places = []
        for folder in label.parents:
            scores = Path(self.scores_dir or folder / SCORES)
            places.append(scores / label.relative_to(folder))
            if places[-1].is_file():
                return places[-1], scores
        raise InputError(f'{places[0]}: no scores of {seg_map_path}; dump '
                         'them by keep_scores=True of PseudoLabelHook')

    def _threshold(self, folder: Path) -> Optional[float]:
        """Background threshold of the dump with this folder of scores."""
        if folder not in self._thresholds:
            manifest = Manifest.find(str(folder.parent))
            self._thresholds[folder] = (None if manifest is None else
                                        manifest.bg_threshold)
        return self._thresholds[folder]

    def transform(self, results: dict) -> dict:
        """Add the scores.

        Args:
            results (dict): After ``LoadAnnotations``, before anything that
                changes the size.

        Returns:
            dict: ``results``.
        """
        path = results['seg_map_path']
        if results.get('label_map') or results.get('reduce_zero_label'):
            raise InputError(f'{path}: the dataset renumbers its labels '
                             '(label_map or reduce_zero_label), the scores '
                             'would not fit')
        file, folder = self._find(path)
        scores = ScoreMap.load(str(file))
        shapes = (results['img'].shape[:2], results['gt_seg_map'].shape)
        if any(tuple(shape) != scores.ori_shape for shape in shapes):
            raise InputError(
                f'{file}: scores of {scores.ori_shape} pixels for a '
                f'image of {shapes[0]} and labels of {shapes[1]}; put '
                'LoadScores right after LoadAnnotations')
        maps = np.rint(scores.resize().maps * STEPS).astype(np.uint8)
        labels = [int(class_id) + 1 for class_id in scores.class_ids]
        fields = dict(zip(map(SCORE_FIELD.format, labels), maps))
        fields[LABEL_COPY] = results['gt_seg_map'].copy()
        results.update(fields)
        results['seg_fields'].extend(fields)
        results['score_labels'] = labels
        results['score_threshold'] = self._threshold(folder)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(scores_dir={self.scores_dir!r})'
