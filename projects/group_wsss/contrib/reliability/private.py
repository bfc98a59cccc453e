# Copyright (c) group_wsss contributors. All rights reserved.
"""Every private name of torch, mmengine and Python that the package uses.

``tests/test_private_names.py`` compares this table with the code. Tested on
torch 2.1.2 and 2.11.0, mmengine 0.10.7 and onedl-mmengine 0.10.12, Python
3.10 to 3.12.

| name | owner | where | why |
| --- | --- | --- | --- |
| ``_iterator`` | ``DataLoader`` | here | workers that persist |
| ``_iterator`` | mmengine's endless iterator | here | its workers |
| ``_save_checkpoint_with_step`` | ``CheckpointHook`` | \
``atomic_checkpoint_hook.py`` | the order of writing and removing |
| ``f_locals`` | frames | here | who called the interrupted code |
| ``_train_loop`` | ``Runner`` | ``engine/class_names.py`` | which loops \
are built |
| ``_val_loop`` | ``Runner`` | ``engine/class_names.py`` | the same |
| ``_test_loop`` | ``Runner`` | ``engine/class_names.py`` | the same |
| ``_version`` | ``Tensor`` | ``models/backbones/feature_cache.py`` | weights \
that were written to |
| ``_channel_conversion`` | ``ImgDataPreprocessor`` | \
``contrib/deployment`` | what an exported network does itself |
| ``_enable_normalize`` | ``ImgDataPreprocessor`` | ``contrib/deployment`` | \
the same |
| ``_get_const`` | ``symbolic_helper`` | ``contrib/deployment`` | ONNX |
| ``_get_tensor_rank`` | ``symbolic_helper`` | ``contrib/deployment`` | ONNX |
| ``_maybe_get_const`` | ``symbolic_helper`` | ``contrib/deployment`` | ONNX |
"""
from typing import Any, Optional

from mmengine.runner import IterBasedTrainLoop


def has_started_workers(loop: IterBasedTrainLoop) -> bool:
    """Tell whether the workers of a loop run, before training has begun.

    Args:
        loop (IterBasedTrainLoop): Stock mmengine starts them when it builds
            the loop, onedl-mmengine with the first batch.
    """
    return (loop.dataloader.num_workers > 0 and getattr(
        loop.dataloader_iterator, '_iterator', None) is not None)


def drop_workers(loop: IterBasedTrainLoop) -> None:
    """End the workers of a loop, those that persist too.

    Args:
        loop (IterBasedTrainLoop): Without an iterator afterwards.
    """
    # the last references to them
    loop.dataloader_iterator = loop.dataloader._iterator = None


def is_called_by(frame: Optional[Any], owner: Any) -> bool:
    """Tell whether a method of an object is among the callers of a frame.

    Args:
        frame (frame, optional): As a signal handler gets it.
        owner (Any): The object.
    """
    while frame is not None and frame.f_locals.get('self') is not owner:
        frame = frame.f_back
    return frame is not None
