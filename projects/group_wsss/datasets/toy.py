# Copyright (c) group_wsss contributors. All rights reserved.
"""The built-in toy set: generated, deterministic, in VOC layout."""
import io
import json
import logging
import os
import os.path as osp
from pathlib import Path
from typing import Any, Dict, List, Union

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from ..registry import DATASETS
from ..structures.folders import missing_files
from ..structures.label_image import voc_palette
from ..utils.errors import InputError
from ..utils.files import SameFolder, atomic_write, read_json
from ..utils.progress import Progress
from .image_level import ImageLevelDataset
from .toy_render import NUM_CLASSES, render

TOY_CLASSES = ('ring', 'cross', 'wedge', 'checker', 'dots', 'bars')

# raised whenever the same settings give other images
_VERSION = 1
_DONE = 'toy.json'
_BEGUN = 'toy.unfinished.json'


def generate_toy(root: Union[str, Path],
                 num_train: int = 480,
                 num_val: int = 120,
                 size: int = 96,
                 seed: int = 0,
                 verbose: bool = False) -> bool:
    """Write the toy set as a VOC-layout folder.

    Six classes of creatures. The head, about a seventh of a creature,
    carries the mark of its class; the body has a hue and a texture whose
    direction vary strongly about those of the class, so that one image says
    little and several say a lot. Classes keep company in pairs and prefer
    one of six kinds of ground. Images have one to four creatures.

    ``JPEGImages/ID.jpg``, ``SegmentationClass/ID.png`` (palette, 0 is the
    background), ``ImageSets/{train,val}.txt`` and ``*_cls.txt`` with class
    ids. ``toy.json``, written last, marks a finished set: it is skipped the
    next time, an interrupted one is made again.

    Args:
        root (str | Path): Folder, new, empty or a toy set.
        num_train (int): Images to train on. Defaults to 480.
        num_val (int): Images to validate on. Defaults to 120.
        size (int): Side in pixels, 32 to 1024. Defaults to 96.
        seed (int): Other seeds give other images. Defaults to 0.
        verbose (bool): Tell how far it is. Defaults to False.

    Returns:
        bool: True if something was written, False if all was there.

    Raises:
        InputError: Settings out of range, a folder with something else or
            with a toy set made otherwise, an unwritable folder.
    """
    root = str(root)
    limits = dict(
        num_train=(1, 99999),
        num_val=(1, 99999),
        size=(32, 1024),
        seed=(0, 2**63))
    settings = dict(
        version=_VERSION,
        num_train=num_train,
        num_val=num_val,
        size=size,
        seed=seed)
    for name, (low, high) in limits.items():
        if not low <= settings[name] <= high:
            raise InputError(f'{name}={settings[name]} is outside '
                             f'{low}..{high}')
    names = dict(
        train=[f'train_{i:05d}' for i in range(num_train)],
        val=[f'val_{i:05d}' for i in range(num_val)])
    if _is_finished(root, settings, names):
        return False
    _write(root, _BEGUN, json.dumps(settings))
    place = SameFolder(root)
    progress = Progress('toy set') if verbose else None
    for split_id, (split, img_ids) in enumerate(names.items()):
        tags = ''
        for i, name in enumerate(img_ids):
            place.check()
            labels = _write_pair(root, name, size, (seed, split_id, i))
            tags += f'{name} {" ".join(map(str, labels))}\n'
            if progress is not None:
                progress(i + 1 + split_id * num_train, num_train + num_val)
        _write(root, f'ImageSets/{split}.txt', '\n'.join(img_ids) + '\n')
        _write(root, f'ImageSets/{split}_cls.txt', tags)
    place.check()
    content = dict(settings, classes=TOY_CLASSES)
    _write(root, _DONE, json.dumps(content, indent=1) + '\n')
    Path(root, _BEGUN).unlink(missing_ok=True)
    return True


def _write(root: str, name: str, content: Union[str, bytes]) -> None:
    data = content.encode() if isinstance(content, str) else content
    atomic_write(osp.join(root, name), data)


def _is_finished(root: str, settings: dict, names: Dict[str,
                                                        List[str]]) -> bool:
    """Tell if nothing is left to do; refuse folders of another kind."""
    try:
        entries = set(os.listdir(root))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InputError(f'{root}: cannot be used: '
                         f'{error.strerror or error}') from None
    if _DONE not in entries:
        # hidden part files alone are the trace of a stop at the first write
        if _BEGUN not in entries and any(not name.startswith('.')
                                         for name in entries):
            raise InputError(f'{root}: not empty and no toy set: give '
                             'another folder')
        return False
    try:
        found = read_json(osp.join(root, _DONE))
        found.pop('classes', None)
    except (InputError, OSError, AttributeError):
        found = None
    if found != settings:
        raise InputError(f'{root}: holds a toy set made with other settings: '
                         'give another folder or remove it')
    files = []
    for split, img_ids in names.items():
        files += [f'ImageSets/{split}.txt', f'ImageSets/{split}_cls.txt']
        files += [f'JPEGImages/{name}.jpg' for name in img_ids]
        files += [f'SegmentationClass/{name}.png' for name in img_ids]
    lost = missing_files(osp.join(root, name) for name in files)
    if lost:
        print_log(
            f'{osp.join(root, files[lost[0]])}: gone ({len(lost)} files); the '
            'toy set is made again',
            logger='current',
            level=logging.WARNING)
    return not lost


def _write_pair(root: str, name: str, size: int, key: tuple) -> List[int]:
    """Write image and mask, return the class ids."""
    rng = np.random.default_rng(key)
    image, mask = render(rng, size, first=key[-1] % NUM_CLASSES)
    jpeg, png = io.BytesIO(), io.BytesIO()
    Image.fromarray(image).save(jpeg, 'JPEG', quality=95, subsampling=0)
    label = Image.fromarray(mask)
    label.putpalette(voc_palette().tobytes())
    label.save(png, 'PNG')
    _write(root, f'JPEGImages/{name}.jpg', jpeg.getvalue())
    _write(root, f'SegmentationClass/{name}.png', png.getvalue())
    return [int(value) - 1 for value in np.unique(mask) if value]


@DATASETS.register_module()
class ToyImageLevel(ImageLevelDataset):
    """The toy set with image-level labels; see :func:`generate_toy`.

    Args:
        ann_file (str): Defaults to 'ImageSets/train_cls.txt'.
        **kwargs: Of :class:`ImageLevelDataset`.
    """

    METAINFO = dict(
        classes=TOY_CLASSES, palette=voc_palette(NUM_CLASSES + 1)[1:].tolist())

    def __init__(self,
                 ann_file: str = 'ImageSets/train_cls.txt',
                 **kwargs: Any) -> None:
        super().__init__(ann_file=ann_file, **kwargs)
