# Copyright (c) group_wsss contributors. All rights reserved.
"""Images that stand beside others in their groups."""
import os.path as osp
from typing import Any, Callable, List, Optional, Sequence, Union

from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from ..datasets import ImageLevelDataset
from ..registry import DATASETS
from ..structures import read_image_list
from ..utils.classes import require_same_classes
from ..utils.config import inner_dataset
from .images import InputImage, InputImages, list_images

LISTS = ('.txt', '.csv', '.json')


def build_reference(reference: Union[str, dict, Any], root: Optional[str],
                    classes: Sequence[str], pipeline: List[Callable],
                    scope: str, predict: Callable[[List[InputImage]],
                                                  List[List[int]]],
                    weights: str) -> Any:
    """The data set that group partners come from.

    Args:
        reference (str | dict | Dataset): An image list with tags (txt, csv,
            json); a folder, a glob or a list of images, whose tags are
            predicted; or a data set or its config, wrapped or not.
        root (str, optional): Folder of the images of an image list;
            None for the folder of the list.
        classes (Sequence[str]): Class names of the network.
        pipeline (list[Callable]): Test transforms, the loader first.
        scope (str): Default scope of the config.
        predict (Callable): Class ids of images without tags.
        weights (str): The network's checkpoint, for messages.

    Returns:
        Dataset: As ``GroupedDataset`` wants it.

    Raises:
        InputError: Files are missing, or the data set has other classes.
    """
    if isinstance(reference, dict):
        config = dict(inner_dataset(reference), pipeline=pipeline)
        with DefaultScope.overwrite_default_scope(scope):
            return _same_classes(DATASETS.build(config), classes, weights)
    if hasattr(reference, 'get_data_info'):
        return _same_classes(reference, classes, weights)
    if isinstance(reference,
                  str) and osp.splitext(reference)[1].lower() in LISTS:
        if root is None:
            root = osp.dirname(reference)
        # for the message of a list with other names
        read_image_list(reference, classes, source=weights)
        return ImageLevelDataset(
            ann_file=reference,
            data_prefix=root,
            metainfo=dict(classes=classes),
            test_mode=True,
            pipeline=pipeline)
    images = list_images(reference)
    return InputImages(images, predict(images), classes, pipeline[0],
                       Compose(pipeline[1:]))


def _same_classes(dataset: Any, classes: Sequence[str], weights: str) -> Any:
    dataset.full_init()
    require_same_classes(
        dataset.metainfo.get('classes') or (), 'reference', classes, weights)
    return dataset
