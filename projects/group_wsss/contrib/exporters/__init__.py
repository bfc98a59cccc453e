# Copyright (c) group_wsss contributors. All rights reserved.
"""Label images in the formats of other tools."""
from .coco_instances import export_coco_instances
from .coco_json import UNKNOWN_RULES
from .coco_semantic import export_coco_semantic
from .cvat_masks import export_cvat_masks
from .label_studio import export_label_studio
from .regions import CONNECTIVITIES
from .score_npz import SCORE_SIZES, SCORE_TYPES, estimate_scores, export_scores
from .yolo_seg import export_yolo_seg

__all__ = [
    'CONNECTIVITIES', 'SCORE_SIZES', 'SCORE_TYPES', 'UNKNOWN_RULES',
    'estimate_scores', 'export_coco_instances', 'export_coco_semantic',
    'export_cvat_masks', 'export_label_studio', 'export_scores',
    'export_yolo_seg'
]
