# Copyright (c) group_wsss contributors. All rights reserved.
import unicodedata
from collections import Counter, defaultdict
from typing import (Any, Dict, Iterable, List, NamedTuple, Optional, Sequence,
                    Set)

from ...structures.image_list import ImageList, ImageRecord, id_of_file
from ...utils.errors import InputError
from ...utils.files import why_unsafe

# control characters, halves of pairs, ends of lines and paragraphs
_NOT_PRINTED = ('Cc', 'Cs', 'Zl', 'Zp')
# what tables and programs write where there is nothing
_NOTHING = ('', 'nan', 'none', 'null', 'n/a', '<na>', '#n/a')


def is_nothing(value: Any) -> bool:
    """Tell whether a cell or tag is a word for nothing, as None or NaN."""
    return value is None or value != value or (isinstance(
        value, str) and value.strip().casefold() in _NOTHING)


class _Entry(NamedTuple):
    """An image whose tags are still names."""
    path: str
    tags: Set[str]
    where: str


def _tag_name(where: str, tag: Any) -> str:
    """A class name in the form in which equal names are equal.

    Without blanks around it and in Unicode's composed form (NFC), since file
    systems hand out both; refused if it is no text, empty, not printable, or
    ``background``, which is the name of label 0.
    """
    if not isinstance(tag, str):
        raise InputError(f'{where}: the tag {str(tag)[:80]!r} is no text')
    name = unicodedata.normalize('NFC', tag.strip())
    if not name:
        raise InputError(f'{where}: a tag is empty')
    if any(unicodedata.category(char) in _NOT_PRINTED for char in name):
        raise InputError(f'{where}: the tag {name[:80]!r} contains a control '
                         'character or is not valid Unicode')
    if name == 'background':
        raise InputError(f"{where}: 'background' is the name of what has no "
                         'tag and cannot be one')
    return name


class ListBuilder:
    """Gather images and tags of any source; equal content, equal list.

    The list is sorted by id, and every entry names its file, so that the
    order and the kind of the source leave no trace. Words for nothing, such
    as ``nan`` or ``None``, are no tags unless ``classes`` names them. What is
    left out is counted, and told in the notes of the list.

    Args:
        source (str): File or folder that is read, for messages.
        classes (Sequence[str], optional): Class names in the order of their
            ids; a tag outside them is an error. Defaults to the tags that
            occur, sorted by code point.
        suffix (str): Suffix of an image whose file is not named.
            Defaults to '.jpg'.

    Raises:
        InputError: Bad or repeated class names.
    """

    def __init__(self,
                 source: str,
                 classes: Optional[Sequence[str]] = None,
                 suffix: str = '.jpg') -> None:
        self.source = source
        self.suffix = suffix
        self.entries: Dict[str, _Entry] = {}
        self.notes: List[str] = []
        # why -> what, and how often
        self.left_out: Dict[str, Counter] = defaultdict(Counter)
        self.classes = None
        if classes is not None:
            self.classes = [_tag_name('classes', name) for name in classes]
            if len(set(self.classes)) < len(self.classes):
                raise InputError('classes: a name is there twice')

    def leave_out(self, what: str, why: str, count: int = 1) -> None:
        """Count what is left out.

        Args:
            what (str): Its kind.
            why (str): Reason, and the option that takes it if there is one.
            count (int): How many. Defaults to 1.
        """
        self.left_out[why][what] += count

    def add_file(self,
                 where: str,
                 name: str,
                 tags: Iterable[Any],
                 path: Optional[str] = None,
                 merge: bool = False) -> None:
        """Add an image whose id may be the name of its file.

        Args:
            where (str): As in :meth:`add`.
            name (str): Id, or name of a file.
            tags (Iterable[Any]): As in :meth:`add`.
            path (str, optional): Its file. Defaults to ``name`` if that has
                the suffix of an image.
            merge (bool): As in :meth:`add`.

        Raises:
            InputError: As :meth:`add`.
        """
        img_id = id_of_file(name)
        if path is None and img_id != name:
            path = name
        self.add(where, img_id, tags, path, merge)

    def add(self,
            where: str,
            img_id: str,
            tags: Iterable[Any],
            path: Optional[str] = None,
            merge: bool = False) -> None:
        """Add an image.

        Args:
            where (str): File and place, for messages.
            img_id (str): Its id.
            tags (Iterable[Any]): Class names, repeats allowed.
            path (str, optional): Its file. Defaults to the id plus
                ``suffix``.
            merge (bool): Add the tags to those of an entry of the same id;
                its path stays. Defaults to False: the id is refused.

        Raises:
            InputError: A bad or repeated id, a bad path or tag.
        """
        path = img_id + self.suffix if path is None else path
        for what, name in (('image id', img_id), ('path', path)):
            reason = why_unsafe(name)
            if reason:
                raise InputError(f'{where}: {what} {name[:80]!r} {reason}')
        names = set()
        for tag in tags:
            if is_nothing(tag) and tag not in (self.classes or ()):
                self.leave_out(repr(tag), 'no tags')
            else:
                names.add(_tag_name(where, tag))
        for name in sorted(names.difference(self.classes or names)):
            raise InputError(f'{where}: {name[:80]!r} is not among the '
                             'classes')
        entry = self.entries.get(img_id)
        if entry is None:
            self.entries[img_id] = _Entry(path, names, where)
        elif merge:
            entry.tags.update(names)
        else:
            raise InputError(f'{where}: duplicate image id {img_id[:80]!r}, '
                             f'first at {entry.where}')

    def build(self) -> ImageList:
        """The list.

        Returns:
            ImageList: Records sorted by id, and the class names.

        Raises:
            InputError: No image, or no tag; it tells what was left out.
        """
        self.notes += [
            'left out ' + ', '.join(f'{count} {what}'
                                    for what, count in sorted(found.items())) +
            f': {why}' for why, found in self.left_out.items()
        ]
        told = ''.join(f'; {note}' for note in self.notes)
        if not self.entries:
            raise InputError(f'{self.source}: holds no image{told}')
        names = self.classes
        if names is None:
            names = sorted(set().union(*(entry.tags
                                         for entry in self.entries.values())))
        tagged = any(entry.tags for entry in self.entries.values())
        if not names or (self.left_out and not tagged):
            raise InputError(f'{self.source}: no image has a tag{told}')
        table = {name: number for number, name in enumerate(names)}
        records = [
            ImageRecord(img_id,
                        tuple(sorted(table[tag] for tag in entry.tags)),
                        entry.path, entry.where)
            for img_id, entry in sorted(self.entries.items())
        ]
        return ImageList(records, tuple(names), tuple(self.notes))
