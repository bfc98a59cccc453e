# Copyright (c) group_wsss contributors. All rights reserved.
import os
import os.path as osp
from typing import Optional, Sequence

from ...structures.image_list import ImageList, id_of_file
from ...utils.errors import InputError
from .builder import ListBuilder
from .images import same_image, walk_files

IDS = ('name', 'path')


def read_folders(root: str,
                 classes: Optional[Sequence[str]] = None,
                 ids: str = 'name') -> ImageList:
    """One folder per class, as in ImageNet.

    Folders inside a class folder are walked; they belong to the id. A
    image with several classes lies in several class folders, as a link
    or a copy: same name, same bytes, one entry with all its tags, and the
    first path by name. What is neither a folder nor an image is left
    out.

    Args:
        root (str): Holds the class folders, whose names are the tags.
        classes (Sequence[str], optional): See :class:`ListBuilder`.
        ids (str): ``'name'``: an id is the path inside the class folder,
            without suffix. ``'path'``: the class folder belongs to it, for
            sets that reuse names (``cat/001.jpg``, ``dog/001.jpg``); every
            file is then an image with one tag. Defaults to 'name'.

    Returns:
        ImageList: Paths are relative to ``root``.

    Raises:
        InputError: An image outside the class folders, an empty class
            folder (unless ``classes`` is given), different images with
            one id, and what :func:`walk_files` raises.
    """
    assert ids in IDS, f'ids is one of {IDS}'
    builder = ListBuilder(root, classes)
    used = set()
    for path in walk_files(root):
        where = f'{root}: {path}'
        name, _, rest = path.partition('/')
        if not rest:
            raise InputError(f'{where}: lies in no class folder')
        used.add(name)
        img_id = id_of_file(path if ids == 'path' else rest)
        entry = builder.entries.get(img_id)
        if entry is not None:
            if entry.path.partition('/')[0] == name or ids == 'path':
                raise InputError(f'{where}: {entry.path} has the same name '
                                 'but for the suffix')
            if not same_image(
                    osp.join(root, path), osp.join(root, entry.path)):
                raise InputError(
                    f'{where}: {entry.path} has the same name but is another '
                    "image; with ids 'path' both are kept")
        builder.add(where, img_id, [name], path, merge=True)
    if classes is None:
        for name in sorted(os.listdir(root)):
            if (name not in used and not name.startswith('.')
                    and osp.isdir(osp.join(root, name))):
                raise InputError(f'{root}: {name[:80]!r} holds no image')
    return builder.build()
