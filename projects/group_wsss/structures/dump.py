# Copyright (c) group_wsss contributors. All rights reserved.
"""What a folder of label images says about itself."""
from typing import Optional


def labeler_threshold(manifest: dict) -> Optional[float]:
    """Background threshold by which the labels of a dump were made.

    Args:
        manifest (dict): ``manifest.json`` of the dump.

    Returns:
        float, optional: In [0, 1]; None unless a ``ThresholdLabeler`` made
        the labels.
    """
    labeler = manifest.get('labeler')
    labeler = labeler if isinstance(labeler, dict) else {}
    value = labeler.get('bg_threshold')
    if str(labeler.get('type')).split('.')[-1] != 'ThresholdLabeler':
        return None
    chosen = manifest.get('chosen_thresholds')
    if isinstance(value, str) and isinstance(chosen, list) and chosen:
        # a rule; the labeler is the last step that may have one
        value = chosen[-1]
    if isinstance(value, (int, float)) and 0 <= value <= 1:
        return float(value)
    return None
