# Copyright (c) group_wsss contributors. All rights reserved.
"""Class names on a command line, and the dump they belong to."""
import os.path as osp
from typing import Optional, Tuple

from ..structures.dump import Dump
from ..structures.manifest import MANIFEST, MAX_CLASSES, Manifest
from ..structures.palette import VOC_CLASSES
from ..structures.text_files import read_text
from ..utils.classes import require_same_classes
from ..utils.errors import InputError


def class_names(spec: str) -> Tuple[str, ...]:
    """Names of classes, without background.

    Args:
        spec (str): ``'voc'``, a number of classes, or a text file with one
            name a line (a first line ``background`` is skipped).

    Returns:
        tuple[str]: The names.

    Raises:
        InputError: None of these.
    """
    if spec == 'voc':
        return VOC_CLASSES
    if spec.isdigit():
        names = tuple(f'class {i}' for i in range(1, int(spec) + 1))
    else:
        if ',' in spec and not osp.exists(spec):
            raise InputError(f'--classes {spec}: no such file; names stand '
                             'in a file, one a line')
        names = tuple(line.strip() for line in read_text(spec).splitlines()
                      if line.strip())
        if names[:1] == ('background', ):
            names = names[1:]
    if not 1 <= len(names) <= MAX_CLASSES:
        raise InputError(f'--classes {spec}: {len(names)} classes; 1 to '
                         f'{MAX_CLASSES} are possible')
    return names


def dump_classes(folder: str, spec: Optional[str] = None) -> Tuple[str, ...]:
    """Names of the classes of a folder of label images, no background.

    Args:
        folder (str): A dump, or a foreign folder of label PNGs.
        spec (str, optional): As :func:`class_names` takes it; where there
            is a manifest, its names or their number. Defaults to the
            manifest's classes and, without a manifest, ``'voc'``.

    Returns:
        tuple[str]: The names.

    Raises:
        InputError: A manifest that is damaged or names other classes, or
            none of these.
    """
    manifest = Manifest.find(folder)
    if manifest is None:
        return class_names(spec or 'voc')
    names = tuple(manifest.classes[1:])
    path = osp.join(folder, MANIFEST)
    if spec is not None and spec.isdigit():
        if int(spec) != len(names):
            raise InputError(f'--classes {spec}: {path} names {len(names)} '
                             'classes')
    elif spec is not None:
        require_same_classes(
            class_names(spec), f'--classes {spec}', names, path)
    return names


def open_dump(folder: str,
              classes: Optional[str] = None,
              image_list: Optional[str] = None,
              scores: Optional[str] = None,
              use_scores: bool = True) -> Dump:
    """:meth:`Dump.open` for a command line.

    Args:
        classes (str, optional): As :func:`dump_classes` takes it; the rest
            is as in :meth:`Dump.open`.

    Returns:
        Dump: Checked; a note says so where VOC's classes are assumed.

    Raises:
        InputError: A folder or file is missing or damaged; it is named.
    """
    dump = Dump.open(folder, dump_classes(folder, classes), image_list, scores,
                     use_scores)
    if classes is None and dump.manifest is None:
        note = (f'no {MANIFEST}: taken to be the classes of VOC, --classes '
                'names others')
        return dump._replace(notes=(note, *dump.notes))
    return dump
