# Copyright (c) group_wsss contributors. All rights reserved.
"""Images that a user names, as a list and as a data set."""
import glob
import logging
import os
import os.path as osp
from pathlib import Path
from typing import (Any, Callable, Dict, Iterable, List, NamedTuple, Optional,
                    Sequence, Union)

import numpy as np
from mmengine.logging import print_log

from ..datasets import load_image
from ..structures.image_list import (IMAGE_SUFFIXES, OTHER_SUFFIXES,
                                     id_of_file, read_image_list)
from ..utils.errors import InputError
from ..utils.files import check_image_id

Input = Union[str, Path, np.ndarray]


class InputImage(NamedTuple):
    """One image.

    Attributes:
        img_id (str): Its name, which decides its group and its files.
        source (str | np.ndarray): File or address, or uint8 ``(H, W, 3)`` in
            BGR.
    """
    img_id: str
    source: Union[str, np.ndarray]

    def rgb(self) -> np.ndarray:
        """The pixels, uint8 RGB ``(H, W, 3)``."""
        if isinstance(self.source, str):
            return load_image(self.source)
        return np.ascontiguousarray(self.source[:, :, ::-1])

    def has_made(self, path: str) -> bool:
        """Whether a file is there that was made of this image.

        Args:
            path (str): The file. Older than that of the image, it was made
                of another one of this name.

        Returns:
            bool: True for an array or an address whose file is there.
        """
        if not osp.isfile(path):
            return False
        source = self.source
        return not (isinstance(source, str) and osp.isfile(source)
                    and osp.getmtime(source) > osp.getmtime(path))


def list_images(inputs: Union[Input, Sequence[Input]]) -> List[InputImage]:
    """The images that a user means.

    A file is named by its name without suffix; one that a glob finds in a
    folder below the part before the first wildcard keeps that folder in its
    name. Arrays are ``image_00000``, ... by their place in the list.

    Args:
        inputs (str | Path | np.ndarray | Sequence): A file or address, a
            folder (its subfolders are left out), a glob (``**`` goes through
            subfolders), an array uint8 ``(H, W, 3)`` in BGR, or a list of
            these.

    Returns:
        list[InputImage]: In the order of the list; folders and globs sorted.

    Raises:
        InputError: No such file, nothing found, an array of another kind,
            or two images of one name.
    """
    items: Iterable = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    images: List[InputImage] = []
    for place, item in enumerate(items):
        if isinstance(item, (str, Path)):
            images += _by_name(str(item))
        else:
            images.append(InputImage(f'image_{place:05d}', _array(item)))
    if not images:
        raise InputError('the list of images is empty')
    seen: Dict[str, InputImage] = {}
    for image in images:
        check_image_id(image.img_id)
        other = seen.setdefault(image.img_id, image)
        if other is not image:
            raise InputError(
                f'{image.source}: has the name {image.img_id!r} of '
                f'{other.source}; images of one call need names of '
                'their own')
    return images


def _array(item: Any) -> np.ndarray:
    if not isinstance(item, np.ndarray):
        raise InputError(f'an image is a path or an array, not a '
                         f'{type(item).__name__}')
    if item.dtype != np.uint8 or item.ndim != 3 or (item.shape[2] != 3
                                                    or not item.size):
        raise InputError('an array must be uint8 (H, W, 3) in BGR, got '
                         f'{item.dtype} {item.shape}')
    return item


def _by_name(path: str) -> List[InputImage]:
    if '://' in path or osp.isfile(path):
        return [InputImage(id_of_file(osp.basename(path)), path)]
    base = path
    if osp.isdir(path):
        found = [
            osp.join(path, name) for name in os.listdir(path)
            if not name.startswith('.')
        ]
    elif glob.has_magic(path):
        found = glob.glob(path, recursive=True)
        while glob.has_magic(base):
            base = osp.dirname(base)
    else:
        raise InputError(f'{path}: no such file or folder')
    found = [name for name in found if osp.isfile(name)]
    others = sorted(name for name in found
                    if name.lower().endswith(OTHER_SUFFIXES)
                    and not name.lower().endswith(IMAGE_SUFFIXES))
    found = [name for name in found if name.lower().endswith(IMAGE_SUFFIXES)]
    left_out = ''
    if others:
        left_out = (f'{len(others)} images of other formats are left out, '
                    f'such as {osp.basename(others[0])}: convert them')
    if not found:
        raise InputError(f'{path}: no images found '
                         f'({", ".join(IMAGE_SUFFIXES)})' +
                         (f'; {left_out}' if left_out else ''))
    if left_out:
        print_log(
            f'{path}: {left_out}', logger='current', level=logging.WARNING)
    return [
        InputImage(
            id_of_file(osp.relpath(name, base or '.').replace(os.sep, '/')),
            name) for name in sorted(found)
    ]


def chosen_images(folder: str,
                  out: str,
                  image_list: Optional[str] = None,
                  suffix: str = '.jpg') -> List[InputImage]:
    """The images of a folder, or those of a list, for a tool.

    Args:
        folder (str): Folder of images; subfolders belong to the ids.
        out (str): Where the tool writes.
        image_list (str, optional): Image list of stage 1; its paths are
            relative to the folder. Defaults to None: all images.
        suffix (str): Of images whose file the list does not name. Defaults
            to ``'.jpg'``.

    Returns:
        list[InputImage]: Sorted, or in the order of the list.

    Raises:
        InputError: No such folder or list, no image, or ``out`` lies among
            the images that a later call would find.
    """
    if not osp.isdir(folder):
        raise InputError(f'{folder}: no such folder')
    if image_list is None:
        root = osp.realpath(folder)
        if osp.commonpath([root, osp.realpath(out)]) == root:
            raise InputError(f'{out}: lies among the images: give another '
                             '--out, or --image-list')
        return list_images(osp.join(folder, '**'))
    return [
        InputImage(record.img_id,
                   osp.join(folder, record.path or record.img_id + suffix))
        for record in read_image_list(image_list).records
    ]


class InputImages:
    """Images with tags as a data set for ``GroupedDataset``.

    Args:
        images (Sequence[InputImage]): The images.
        labels (Sequence[Sequence[int]]): Class ids of each.
        classes (Sequence[str]): Class names.
        loader (Callable): Transform that reads ``img_path``.
        pipeline (Callable): All transforms behind it.
    """

    def __init__(self, images: Sequence[InputImage],
                 labels: Sequence[Sequence[int]], classes: Sequence[str],
                 loader: Callable[[dict],
                                  dict], pipeline: Callable[[dict],
                                                            Any]) -> None:
        assert len(images) == len(labels), 'one list of class ids an image'
        self.images = list(images)
        self.labels = [sorted(ids) for ids in labels]
        self.metainfo = dict(classes=tuple(classes))
        self.loader = loader
        self.pipeline = pipeline

    def full_init(self) -> None:
        """Nothing is left to read."""

    def __len__(self) -> int:
        return len(self.images)

    def get_data_info(self, idx: int) -> Dict[str, Any]:
        """Id, class ids and, of a file, ``img_path``."""
        img_id, source = self.images[idx]
        info: Dict[str, Any] = dict(
            img_id=img_id, gt_label=np.array(self.labels[idx], dtype=np.int64))
        if isinstance(source, str):
            info['img_path'] = source
        return info

    def get_cat_ids(self, idx: int) -> List[int]:
        """Class ids of one image."""
        return self.labels[idx]

    def __getitem__(self, idx: int) -> Any:
        """One image through the pipeline."""
        info, source = self.get_data_info(idx), self.images[idx].source
        if isinstance(source, str):
            return self.pipeline(self.loader(info))
        return self.pack(idx, source)

    def pixels(self, idx: int) -> np.ndarray:
        """One image as it is, uint8 BGR ``(H, W, 3)``."""
        source = self.images[idx].source
        if isinstance(source, str):
            return self.loader(self.get_data_info(idx))['img']
        return source

    def pack(self, idx: int, pixels: np.ndarray) -> Any:
        """Pixels through the pipeline, with the id and tags of an image."""
        shape = pixels.shape[:2]
        return self.pipeline(
            dict(
                self.get_data_info(idx),
                img=pixels.copy(),
                img_shape=shape,
                ori_shape=shape))
