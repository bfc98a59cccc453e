# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional, Sequence

from ...structures.image_list import ImageList
from ...utils.errors import InputError
from .builder import ListBuilder
from .files import read_xml

SHAPES = ('box', 'polygon', 'polyline', 'points', 'mask', 'ellipse', 'cuboid',
          'skeleton')


def read_cvat(path: str,
              classes: Optional[Sequence[str]] = None,
              shapes: bool = False) -> ImageList:
    """Tags of an export 'CVAT for images 1.1'.

    Args:
        path (str): ``annotations.xml``.
        classes (Sequence[str], optional): See :class:`ListBuilder`.
        shapes (bool): The labels of boxes, polygons, masks and other shapes
            are tags as well. Defaults to False: image tags alone.

    Returns:
        ImageList: The id is the name of the image without suffix.

    Raises:
        InputError: One line with the file and the image at fault.
    """
    root = read_xml(path)
    if root.tag != 'annotations':
        raise InputError(f'{path}: is no CVAT export: the root is '
                         f'{root.tag[:80]!r}')
    if root.find('track') is not None:
        raise InputError(f"{path}: is an export 'CVAT for video'; export it "
                         "as 'CVAT for images'")
    builder = ListBuilder(path, classes)
    for number, image in enumerate(root.findall('image')):
        where = f'{path}: image[{number}]'
        name = image.get('name')
        if name is None:
            raise InputError(f'{where}: has no name')
        tags = []
        for item in image:
            if item.tag not in ('tag', *SHAPES):
                continue
            if item.get('label') is None:
                raise InputError(f'{where}: a {item.tag} has no label')
            if item.tag == 'tag' or shapes:
                tags.append(item.get('label'))
            else:
                builder.leave_out(item.tag,
                                  'labels of shapes (--shapes takes them)')
        builder.add_file(where, name, tags, name)
    return builder.build()
