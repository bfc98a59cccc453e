# Copyright (c) group_wsss contributors. All rights reserved.
from typing import List, Optional, Sequence, Set

from ...structures.coco_json import instance_tables
from ...structures.image_list import ImageList
from ...structures.text_files import parse_json, read_text
from ...utils.errors import InputError
from .builder import ListBuilder

# what an id may be
_KEY = (int, str), 'whole number or text'


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
    categories, images, table = instance_tables(
        parse_json(read_text(path), path), path)
    names = categories.column('name', (str, ), 'text')
    files = images.column('file_name', (str, ), 'text')
    columns = [table.column('iscrowd', (int, bool), 'integer', 0)]
    for key, others in (('image_id', images), ('category_id', categories)):
        known = others.unique(others.column('id', *_KEY))
        ids = table.column(key, *_KEY)
        places = table.positions(key, ids, known, others.key)
        columns.append(places.tolist())
    tags: List[Set[str]] = [set() for _ in files]
    for place, (crowd, owner, label) in enumerate(zip(*columns)):
        if crowd not in (0, 1):
            raise InputError(f"{table.where(place)}: 'iscrowd' is not 0 or 1")
        if not (skip_crowd and crowd):
            tags[owner].add(names[label])
    builder = ListBuilder(path, classes)
    for place, file in enumerate(files):
        builder.add_file(images.where(place), file, tags[place], file)
    return builder.build()
