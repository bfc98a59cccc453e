# Copyright (c) group_wsss contributors. All rights reserved.
"""From Python: label images, export networks."""
from importlib import import_module
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from .inferencer import GroupCAMInferencer
    from .segmentation import SegmentationInferencer

__all__ = [
    'GroupCAMInferencer',
    'SegmentationInferencer',
]


def __getattr__(name: str) -> Any:
    """Load the models of mmpretrain only where one is wanted: a list of
    images needs none, nor can they live beside each transformers.
    """
    if name in __all__:
        file = 'inferencer' if 'GroupCAM' in name else 'segmentation'
        return getattr(import_module(f'{__name__}.{file}'), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> List[str]:
    """For those who look, such as the documentation."""
    return sorted([*globals(), *__all__])
