# Copyright (c) group_wsss contributors. All rights reserved.
import os
import os.path as osp
from collections import Counter, defaultdict
from typing import Dict, Optional, Sequence, Set

from ...structures.image_files import same_image, walk_files
from ...structures.image_list import ImageList, id_of_file
from ...utils.errors import InputError
from .builder import ListBuilder

IDS = ('name', 'path')
# folders around the class folders rather than classes, if they hold no image
_SPLITS = {
    'train', 'training', 'val', 'valid', 'validation', 'test', 'testing',
    'dev', 'trainval', 'images'
}


def read_folders(root: str,
                 classes: Optional[Sequence[str]] = None,
                 ids: str = 'name') -> ImageList:
    """One folder per class, as in ImageNet.

    Folders inside a class folder are walked; they belong to the id. A
    image with several classes lies in several class folders, as a link
    or a copy: same name, same bytes, one entry with all its tags, and the
    first path by name. What is neither a folder nor an image is left
    out, counted and named by its kind.

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
            one id, a folder such as ``train`` around class folders, and
            what :func:`walk_files` raises.
    """
    assert ids in IDS, f'ids is one of {IDS}'
    builder = ListBuilder(root, classes)
    left_out: Counter = Counter()
    # folders inside of each class folder; '' is an image there
    inside: Dict[str, Set[str]] = defaultdict(set)
    for path in walk_files(root, left_out=left_out):
        where = f'{root}: {path}'
        name, _, rest = path.partition('/')
        if not rest:
            raise InputError(f'{where}: lies in no class folder')
        inside[name].add(osp.dirname(rest).partition('/')[0])
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
    for kind, count in left_out.items():
        builder.leave_out(kind, 'files of kinds that are not read', count)
    levels = sorted(name for name in inside if '' not in inside[name])
    parts = {name.casefold() for name in inside} & _SPLITS
    if not parts.intersection(classes or
                              ()) and (len(inside) == len(parts) > 1 or parts
                                       and len(inside) == len(levels)):
        raise InputError(f'{root}: {", ".join(sorted(inside))[:80]} are parts '
                         'of a set, not classes; convert each by itself, or '
                         'name the classes by --classes')
    if levels:
        below = sorted(set().union(*(inside[name] for name in levels)))
        builder.notes.append(
            f'no image lies directly in {", ".join(levels)[:80]}; if the '
            f'folders below are the classes ({", ".join(below)[:80]}), '
            'convert each by itself')
    if classes is None:
        for name in sorted(os.listdir(root)):
            if (name not in inside and not name.startswith('.')
                    and osp.isdir(osp.join(root, name))):
                left_out.clear()
                walk_files(osp.join(root, name), left_out=left_out)
                kinds = ', '.join(f'{n} {kind}'
                                  for kind, n in sorted(left_out.items()))
                raise InputError(f'{root}: {name[:80]!r} holds no image that '
                                 f'can be read ({kinds or "nothing"})')
    return builder.build()
