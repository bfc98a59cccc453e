# Copyright (c) group_wsss contributors. All rights reserved.
"""The built-in toy set: generated, deterministic, in VOC layout."""
import io
import json
import logging
from pathlib import Path
from typing import Union

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from ..registry import DATASETS
from ..structures.label_image import voc_palette
from ..utils.errors import InputError
from ..utils.files import SameFolder, atomic_write
from ..utils.progress import Progress
from .image_level import ImageLevelDataset
from .toy_render import NUM_CLASSES, render

TOY_CLASSES = ('ring', 'cross', 'wedge', 'checker', 'dots', 'bars')

# raised whenever the same settings give other pictures
_VERSION = 1
_DONE = 'toy.json'
_BEGUN = 'toy.unfinished.json'
_SPLITS = ('train', 'val')


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
        seed (int): Other seeds give other pictures. Defaults to 0.
        verbose (bool): Tell how far it is. Defaults to False.

    Returns:
        bool: True if something was written, False if all was there.

    Raises:
        InputError: Settings out of range, a folder with something else or
            with a toy set made otherwise, an unwritable folder.
    """
    for name, value, low, high in (('num_train', num_train, 1,
                                    99999), ('num_val', num_val, 1, 99999),
                                   ('size', size, 32, 1024), ('seed', seed, 0,
                                                              2**63)):
        if not low <= value <= high:
            raise InputError(f'{name}={value} is outside {low}..{high}')
    root = Path(root)
    settings = dict(
        version=_VERSION,
        num_train=num_train,
        num_val=num_val,
        size=size,
        seed=seed)
    names = {
        split: [f'{split}_{i:05d}' for i in range(count)]
        for split, count in zip(_SPLITS, (num_train, num_val))
    }
    if _is_finished(root, settings, names):
        return False
    atomic_write(root / _BEGUN, json.dumps(settings).encode())
    place = SameFolder(str(root))
    total = num_train + num_val
    progress = Progress('toy set') if verbose else None
    for split_id, split in enumerate(_SPLITS):
        ids, tags = '', ''
        for i, name in enumerate(names[split]):
            place.check()
            labels = _write_pair(root, name, size, (seed, split_id, i))
            ids += f'{name}\n'
            tags += f'{name} {" ".join(map(str, labels))}\n'
            if progress is not None:
                progress(i + 1 + split_id * num_train, total)
        atomic_write(root / 'ImageSets' / f'{split}.txt', ids.encode())
        atomic_write(root / 'ImageSets' / f'{split}_cls.txt', tags.encode())
    place.check()
    content = dict(settings, classes=TOY_CLASSES)
    atomic_write(root / _DONE, (json.dumps(content, indent=1) + '\n').encode())
    (root / _BEGUN).unlink(missing_ok=True)
    return True


def _is_finished(root: Path, settings: dict, names: dict) -> bool:
    """Whether nothing is left to do; refuses folders of another kind."""
    try:
        entries = {entry.name for entry in root.iterdir()}
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InputError(f'{root}: cannot be used: '
                         f'{error.strerror or error}') from None
    if not entries:
        return False
    if _DONE not in entries:
        # hidden part files alone are the trace of a stop at the first write
        if _BEGUN not in entries and any(not name.startswith('.')
                                         for name in entries):
            raise InputError(f'{root}: not empty and no toy set: give '
                             'another folder')
        return False
    try:
        found = json.loads((root / _DONE).read_text())
        found.pop('classes', None)
    except (OSError, ValueError, AttributeError):
        found = None
    if found != settings:
        raise InputError(f'{root}: holds a toy set made with other settings: '
                         'give another folder or remove it')
    files = [
        root / 'ImageSets' / f'{split}{kind}.txt' for split in _SPLITS
        for kind in ('', '_cls')
    ]
    for folder, suffix in (('JPEGImages', '.jpg'), ('SegmentationClass',
                                                    '.png')):
        files += [
            root / folder / (name + suffix) for split in _SPLITS
            for name in names[split]
        ]
    lost = [path for path in files if not path.is_file()]
    if lost:
        print_log(
            f'{lost[0]}: gone ({len(lost)} files); the toy set is made again',
            logger='current',
            level=logging.WARNING)
    return not lost


def _write_pair(root: Path, name: str, size: int, key: tuple) -> list:
    """Write image and mask, return the class ids."""
    rng = np.random.default_rng(key)
    image, mask = render(rng, size, first=key[-1] % NUM_CLASSES)
    photo = io.BytesIO()
    Image.fromarray(image).save(photo, 'JPEG', quality=95, subsampling=0)
    label = Image.fromarray(mask)
    label.putpalette(voc_palette().tobytes())
    index = io.BytesIO()
    label.save(index, 'PNG')
    atomic_write(root / 'JPEGImages' / f'{name}.jpg', photo.getvalue())
    atomic_write(root / 'SegmentationClass' / f'{name}.png', index.getvalue())
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
                 **kwargs) -> None:
        super().__init__(ann_file=ann_file, **kwargs)
