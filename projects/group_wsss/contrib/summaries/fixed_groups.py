# Copyright (c) group_wsss contributors. All rights reserved.
"""A few images of a training list, with partners, read once."""
import copy
import heapq
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from mmengine.dataset import Compose
from mmengine.runner import Runner
from PIL import Image

from ...datasets import load_image
from ...structures.image_list import image_id_of
from ...utils.errors import InputError


class FixedGroup(NamedTuple):
    """An image to draw, and its group as the model takes it.

    Attributes:
        img_id (str): Image id.
        image (np.ndarray): RGB uint8 ``(H, W, 3)``, made small.
        items (list[dict]): Packed, the image first.
    """
    img_id: str
    image: np.ndarray
    items: List[dict]


def find_places(dataset: Any,
                num_images: int = 8,
                image_ids: Optional[Sequence[str]] = None,
                indices: Optional[Sequence[int]] = None) -> List[int]:
    """Places of images in a data set; none is opened.

    Args:
        dataset (Any): With ``get_data_info``.
        num_images (int): The first so many by image id that have a tag.
            Defaults to 8.
        image_ids (Sequence[str], optional): These instead.
        indices (Sequence[int], optional): Or these.

    Returns:
        list[int]: At least one.

    Raises:
        InputError: An id or index that the data set has not, or no tags.
    """
    if not hasattr(dataset, 'get_data_info'):
        raise InputError(f'train dataset {type(dataset).__name__} has no '
                         'get_data_info to find images by')
    size = len(dataset)
    if indices is not None:
        for place in indices:
            if not 0 <= place < size:
                raise InputError(f'indices: {place} is not in 0..{size - 1}, '
                                 'the places of the training list')
        return list(indices)
    infos = (dataset.get_data_info(i) for i in range(size))
    if image_ids is None:
        tagged = ((image_id_of(info), i) for i, info in enumerate(infos)
                  if np.size(info.get('gt_label', ())))
        found = heapq.nsmallest(num_images, tagged)
        if not found:
            raise InputError('no image of the training list has a tag')
        return [i for _, i in found]
    known: Dict[str, int] = {}
    for i, info in enumerate(infos):
        known.setdefault(image_id_of(info), i)
    for name in image_ids:
        if name not in known:
            raise InputError(f'image_ids: {name!r} is not in the training '
                             'list')
    return [known[name] for name in dict.fromkeys(image_ids)]


def add_partners(runner: Runner, places: Sequence[int]) -> List[List[int]]:
    """Groups by the rule and the seed of the training's batch sampler.

    Args:
        runner (Runner): Of the training.
        places (Sequence[int]): Of :func:`find_places`.

    Returns:
        list[list[int]]: Each place with its partners, always the same;
        alone, where training draws no groups.
    """
    batches: Any = getattr(runner.train_loop.dataloader, 'batch_sampler', None)
    while hasattr(batches, 'batch_sampler'):  # the rest of a resumed epoch
        batches = batches.batch_sampler
    index = getattr(batches, 'index', None)
    size = getattr(batches, 'group_size', None) or 1
    if index is None or size < 2:
        return [[place] for place in places]
    drawn = index.partners(
        np.array(places), size - 1, batches.match, batches.seed, 0)
    return [[place, *row.tolist()] for place, row in zip(places, drawn)]


def eval_pipeline(cfg: Any, steps: Optional[Sequence[dict]] = None) -> Compose:
    """The transforms of testing, less those that load annotations.

    Args:
        cfg (Config): With ``test_dataloader`` or ``val_dataloader``.
        steps (Sequence[dict], optional): These instead.

    Returns:
        Compose: From a data entry to a packed sample.

    Raises:
        InputError: There are none.
    """
    for name in ('test_dataloader', 'val_dataloader'):
        data = cfg.get(name, None)
        while isinstance(data, dict) and 'dataset' in data:
            data = data['dataset']
        if steps is None and isinstance(data, dict):
            steps = data.get('pipeline', None)
    if not steps:
        raise InputError('neither test_dataloader nor val_dataloader has a '
                         'pipeline')
    names = [str(step['type']).split('.')[-1] for step in steps]
    return Compose([
        copy.deepcopy(step) for name, step in zip(names, steps)
        if not (name.startswith('Load') and name.endswith('Annotations'))
    ])


def read_group(dataset: Any, places: Sequence[int], pipeline: Compose,
               side: int) -> FixedGroup:
    """Read a group.

    Args:
        dataset (Any): With ``get_data_info``.
        places (Sequence[int]): Of its members, the one to draw first.
        pipeline (Compose): Of :func:`eval_pipeline`.
        side (int): Longer side of the image to draw, at most.

    Returns:
        FixedGroup: The group.

    Raises:
        InputError: An image cannot be read, or has no file.
    """
    infos = [dataset.get_data_info(place) for place in places]
    if infos[0].get('img_path') is None:
        raise InputError(f'train dataset {type(dataset).__name__} names no '
                         'files (img_path) to draw')
    items = [pipeline(copy.deepcopy(info)) for info in infos]
    for slot, item in enumerate(items):
        item['data_samples'].set_metainfo(dict(group_slot=slot))
    image = Image.fromarray(load_image(infos[0]['img_path']))
    factor = side / max(image.size)
    if factor < 1:
        size = [max(1, round(factor * edge)) for edge in image.size]
        image = image.resize(size, Image.Resampling.LANCZOS)
    return FixedGroup(image_id_of(infos[0]), np.asarray(image), items)
