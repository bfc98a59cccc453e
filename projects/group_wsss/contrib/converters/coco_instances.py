# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Dict, List, Optional, Sequence, Set

from ...structures.image_list import ImageList
from ...utils.errors import InputError
from .builder import ListBuilder
from .files import read_json


def read_coco_instances(path: str,
                        classes: Optional[Sequence[str]] = None,
                        skip_crowd: bool = False) -> ImageList:
    """Tags of a COCO instances JSON: categories with an annotation.

    Boxes and polygons are not looked at. For COCO itself, with its rules and
    class order, there is ``CocoImageLevel``.

    Args:
        path (str): The file.
        classes (Sequence[str], optional): See :class:`ListBuilder`.
        skip_crowd (bool): Leave out annotations with ``iscrowd=1``. Defaults
            to False.

    Returns:
        ImageList: Images without annotations have no tags.

    Raises:
        InputError: One line with the file and the entry at fault.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f'{path}: expected an object with images, '
                         'annotations and categories')
    images = _entries(path, content, 'images')
    names: Dict[Any, str] = {}
    for number, entry in enumerate(_entries(path, content, 'categories')):
        where = f'{path}: categories[{number}]'
        key = _key(where, entry, 'id')
        if key in names:
            raise InputError(f'{where}: id {str(key)[:80]!r} is there twice')
        if not isinstance(entry.get('name'), str):
            raise InputError(f"{where}: 'name' must be a string")
        names[key] = entry['name']
    tags: Dict[Any, Set[str]] = {}
    for number, entry in enumerate(images):
        key = _key(f'{path}: images[{number}]', entry, 'id')
        if key in tags:
            raise InputError(f'{path}: images[{number}]: id '
                             f'{str(key)[:80]!r} is there twice')
        tags[key] = set()
    for number, entry in enumerate(_entries(path, content, 'annotations')):
        where = f'{path}: annotations[{number}]'
        image = _key(where, entry, 'image_id')
        category = _key(where, entry, 'category_id')
        if image not in tags or category not in names:
            what = 'image' if image not in tags else 'category'
            key = image if image not in tags else category
            raise InputError(f'{where}: there is no {what} with id '
                             f'{str(key)[:80]!r}')
        crowd = entry.get('iscrowd', 0)
        if crowd not in (0, 1) or isinstance(crowd, float):
            raise InputError(f"{where}: 'iscrowd' must be 0 or 1")
        if not (skip_crowd and crowd):
            tags[image].add(names[category])
    builder = ListBuilder(path, classes)
    for number, entry in enumerate(images):
        where = f'{path}: images[{number}]'
        file = entry.get('file_name')
        if not isinstance(file, str):
            raise InputError(f"{where}: 'file_name' must be a string")
        builder.add_file(where, file, tags[entry['id']], file)
    return builder.build()


def _entries(path: str, content: Dict[str, Any], key: str) -> List[dict]:
    """A list of objects."""
    entries = content.get(key)
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list '{key}'")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InputError(f'{path}: {key}[{number}]: expected an object')
    return entries


def _key(where: str, entry: Dict[str, Any], key: str) -> Any:
    """An id: a whole number or a string."""
    value = entry.get(key)
    if not isinstance(value, (int, str)) or isinstance(value, bool):
        raise InputError(f"{where}: '{key}' must be a whole number or a "
                         'string')
    return value
