# Copyright (c) group_wsss contributors. All rights reserved.
import os.path as osp
from typing import Optional, Sequence

from ...structures.image_files import walk_files
from ...structures.image_list import ImageList, id_of_file
from ...structures.voc_xml import voc_objects
from ...utils.errors import InputError
from ...utils.progress import Progress
from .builder import ListBuilder
from .files import read_xml


def read_voc_folder(folder: str,
                    classes: Optional[Sequence[str]] = None,
                    ignore_difficult: bool = False,
                    suffix: str = '.jpg') -> ImageList:
    """Tags of VOC annotations: the names of their objects.

    The id is the path of the XML file without ``.xml``; ``filename`` tells
    the suffix of the image. Boxes are not looked at.

    Args:
        folder (str): Holds the XML files; folders in it are walked.
        classes (Sequence[str], optional): See :class:`ListBuilder`.
        ignore_difficult (bool): Leave out objects marked as difficult.
            Defaults to False.
        suffix (str): See :class:`ListBuilder`. Defaults to '.jpg'.

    Returns:
        ImageList: Images without objects have no tags.

    Raises:
        InputError: One line with the file, and the object at fault.
    """
    builder = ListBuilder(folder, classes, suffix)
    names = walk_files(folder, ('.xml', ))
    for name in Progress('annotations').over(names, len(names)):
        where = osp.join(folder, name)
        root = read_xml(where)
        try:
            tags = [
                tag for tag, difficult in voc_objects(root)
                if not (ignore_difficult and difficult)
            ]
        except InputError as error:
            raise InputError(f'{where}: {error}') from None
        img_id = osp.splitext(name)[0]
        file = (root.findtext('filename') or '').strip()
        path = None
        # some tools write the path of their machine there, others no suffix
        if file and id_of_file(file) != file:
            path = img_id + file[len(id_of_file(file)):]
        builder.add(where, img_id, tags, path)
    return builder.build()
