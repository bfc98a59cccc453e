# Copyright (c) group_wsss contributors. All rights reserved.
"""One list format for everybody: image id, path, class ids."""
import csv
import io
import json
import os.path as osp
import re
from pathlib import Path
from typing import (Any, Dict, Iterator, List, NamedTuple, Optional, Sequence,
                    Tuple, Union)

from PIL import Image

from ..utils.classes import require_same_classes
from ..utils.errors import InputError
from ..utils.files import atomic_write, why_unsafe
from .folders import is_dump_list, read_id_list
from .text_files import parse_json, read_text

_NUMBER = re.compile(r'[+-]?[0-9]+')
# most ids and paths are like this; only others need a closer look
_SAFE = re.compile(r'[A-Za-z0-9_-][A-Za-z0-9_.-]*')
# an id above them is a mistake, not a class
_MOST_CLASSES = 100000
# where it stands, image id, labels and path of a record that is not checked
_Entry = Tuple[str, str, Sequence[Any], Optional[str]]

# what ``LoadImage`` reads
IMAGE_SUFFIXES: Tuple[str, ...] = ('.jpg', '.jpeg', '.jfif', '.jpe', '.png',
                                   '.bmp', '.webp', '.tif', '.tiff', '.ppm')
if '.avif' in Image.registered_extensions():  # not in every Pillow
    IMAGE_SUFFIXES += ('.avif', )
# what names an image as well, and has to be converted before it is read
OTHER_SUFFIXES = ('.avif', '.cr2', '.dng', '.gif', '.heic', '.heif', '.jp2',
                  '.jxl', '.nef', '.pgm', '.svg')


def id_of_file(name: str) -> str:
    """Id of an image: its path less a known suffix, ``/`` between folders."""
    stem, suffix = osp.splitext(name)
    known = suffix.lower() in (*IMAGE_SUFFIXES, *OTHER_SUFFIXES)
    return stem if known else name


class ImageRecord(NamedTuple):
    """One image of a list.

    Attributes:
        img_id (str): Its name; may contain ``/``, never ``..``.
        labels (tuple[int, ...]): Sorted 0-based class ids, may be empty.
        path (str, optional): File relative to the image folder; the id plus
            a suffix if None.
        where (str): File and line, for messages.
    """
    img_id: str
    labels: Tuple[int, ...] = ()
    path: Optional[str] = None
    where: str = ''


class ImageList(NamedTuple):
    """Records of a list and the class names that it carries, if any.

    Attributes:
        records (list[ImageRecord]): The images.
        classes (tuple[str, ...], optional): Class names.
        notes (tuple[str, ...]): What a converter left out of it, and why.
    """
    records: List[ImageRecord]
    classes: Optional[Tuple[str, ...]] = None
    notes: Tuple[str, ...] = ()


def image_id_of(info: Dict[str, Any]) -> str:
    """Id of a data set's item; the file's stem where it has none."""
    if 'img_id' in info:
        return str(info['img_id'])
    return osp.splitext(osp.basename(info['img_path']))[0]


def read_image_list(path: Union[str, Path],
                    classes: Optional[Sequence[str]] = None,
                    num_classes: Optional[int] = None,
                    source: str = 'metainfo.classes') -> ImageList:
    """Read an image list; the suffix tells the format.

    - ``.txt``: ``id class_id class_id ...`` a line, 0-based, as in the
      released label file of the paper; ids alone are a list without labels.
      Class names serve instead of ids if ``classes`` is given and all
      entries of the line are names. In the ``ids.txt`` of a dump a whole
      line is an id.
    - ``.csv``: header ``id,path,labels`` in any order, ``path`` optional;
      labels are ids or names, separated by spaces or ``;``.
    - ``.json``: ``{"classes": [...], "images": [{"id": "a", "path":
      "a.jpg", "labels": [0, "cat"]}]}``, ``classes`` and ``path`` optional.

    Args:
        path (str | Path): The list.
        classes (Sequence[str], optional): Class names.
        num_classes (int, optional): Bound of class ids without names.
        source (str): Where ``classes`` come from, for a message. Defaults to
            'metainfo.classes'.

    Returns:
        ImageList: Its records in their order.

    Raises:
        InputError: One line naming the file and the line or JSON entry.
    """
    path = str(path)
    suffix = osp.splitext(path)[1].lower()
    if suffix not in ('.txt', '.csv', '.json'):
        raise InputError(f'{path}: unknown list format {suffix!r}: use .txt, '
                         '.csv or .json')
    text = read_text(path, 'image list')
    reader = _Reader(path, classes, num_classes, source)
    records = reader.read(suffix[1:], text)
    return ImageList(records, reader.classes)


def write_image_list(path: Union[str, Path],
                     records: Sequence[ImageRecord],
                     classes: Optional[Sequence[str]] = None) -> None:
    """Write the JSON form of a list; the file appears whole or not at all.

    Args:
        path (str | Path): Ends in ``.json``.
        records (Sequence[ImageRecord]): The images.
        classes (Sequence[str], optional): Class names.

    Raises:
        InputError: A record that could not be read back, an unwritable
            folder.
    """
    if Path(path).suffix.lower() != '.json':
        raise InputError(f'{path}: image lists are written as .json')
    images = []
    for record in records:
        labels = [int(label) for label in record.labels]
        entry = dict(id=record.img_id, path=record.path, labels=labels)
        images.append({k: v for k, v in entry.items() if v is not None})
    names = {} if classes is None else dict(classes=list(classes))
    text = json.dumps(
        dict(names, images=images), indent=1, ensure_ascii=False) + '\n'
    # what is written can be read: the reader is the judge
    _Reader(str(path), None, None).read('json', text)
    atomic_write(str(path), text.encode('utf-8'))


def _numbers(fields: List[str]) -> List[Union[int, str]]:
    """Entries of digits are class ids, too long ones out of range."""
    return [
        int(field[:10]) if _NUMBER.fullmatch(field) else field
        for field in fields
    ]


class _Reader:
    """State of one reading: file name, class table, ids seen."""

    def __init__(self,
                 path: str,
                 classes: Optional[Sequence[str]],
                 num_classes: Optional[int],
                 source: str = '') -> None:
        self.path, self.source = path, source
        self.limit = _MOST_CLASSES if num_classes is None else num_classes
        self.set_classes(classes)
        self.seen: Dict[str, str] = {}

    def set_classes(self, classes: Optional[Sequence[str]]) -> None:
        self.classes = None if classes is None else tuple(classes)
        self.table = {name: i for i, name in enumerate(self.classes or ())}
        if self.classes is not None:
            self.limit = len(self.classes)

    def read(self, kind: str, text: str) -> List[ImageRecord]:
        """All records of a text; ``kind`` is the suffix of its file."""
        records = [self.record(*item) for item in getattr(self, kind)(text)]
        if not records:
            raise InputError(f'{self.path}: the image list is empty')
        return records

    def txt(self, text: str) -> Iterator[_Entry]:
        if is_dump_list(self.path):
            for img_id in read_id_list(self.path):
                yield self.path, img_id, (), None
            return
        for number, line in enumerate(text.split('\n'), 1):
            fields = line.split()
            if not fields:
                continue
            where = f'{self.path}:{number}'
            if number == 1 and fields[0][0] in '{[':
                raise InputError(f'{where}: looks like JSON, but the name '
                                 'ends in .txt')
            if ',' in line:
                raise InputError(f"{where}: contains ',': expected 'id "
                                 "class_id class_id ...' (is it a .csv? "
                                 'class names with commas need .json)')
            yield where, fields[0], _numbers(fields[1:]), None

    def csv(self, text: str) -> Iterator[_Entry]:
        if '\0' in text:
            line = text.count('\n', 0, text.index('\0')) + 1
            raise InputError(f'{self.path}:{line}: contains a NUL character')
        rows = csv.reader(io.StringIO(text, newline=''), strict=True)
        header: List[str] = []
        try:
            for row in filter(None, rows):
                where = f'{self.path}:{rows.line_num}'
                if not header:
                    header = [name.strip().lower() for name in row]
                    if ({'path', *header} != {'id', 'labels', 'path'}
                            or len(set(header)) < len(header)):
                        raise InputError(f'{where}: the header must be '
                                         "'id,path,labels' (path optional)")
                    continue
                if len(row) != len(header):
                    raise InputError(f'{where}: {len(row)} columns, the '
                                     f'header has {len(header)}')
                cells = dict(zip(header, map(str.strip, row)))
                labels = _numbers(self.split_labels(cells['labels']))
                yield where, cells['id'], labels, cells.get('path') or None
        except csv.Error as error:
            raise InputError(f'{self.path}:{rows.line_num}: {error}') from None

    def split_labels(self, cell: str) -> List[str]:
        """``;`` splits names that contain spaces."""
        if ';' in cell:
            return [part.strip() for part in cell.split(';') if part.strip()]
        return [cell] if cell in self.table else cell.split()

    def json(self, text: str) -> Iterator[_Entry]:
        content = parse_json(text, self.path)
        if not (isinstance(content, dict)
                and isinstance(content.get('images'), list)):
            raise InputError(f'{self.path}: expected an object with a list '
                             "'images'")
        names = content.get('classes')
        if names is not None:
            if not (isinstance(names, list) and all(
                    isinstance(name, str) and name
                    for name in names) and len(set(names)) == len(names)):
                raise InputError(f"{self.path}: 'classes' must be a list of "
                                 'names, each once')
            if self.classes is not None:
                require_same_classes(names, self.path, self.classes,
                                     self.source)
            self.set_classes(names)
        for number, entry in enumerate(content['images']):
            where = f'{self.path}: images[{number}]'
            if not isinstance(entry, dict):
                raise InputError(f'{where}: expected an object')
            unknown = sorted(set(entry) - {'id', 'path', 'labels'})
            if unknown:
                raise InputError(f'{where}: unknown key {unknown[0]!r}')
            for key, kinds in (('id', str), ('path', (str, type(None)))):
                value = entry.get(key)
                if not isinstance(value, kinds):
                    raise InputError(f'{where}: {key!r} must be a string, not '
                                     f'{json.dumps(value)[:40]}')
            labels = entry.get('labels', [])
            if not isinstance(labels, list) or not all(
                    isinstance(label, str) or type(label) is int
                    for label in labels):
                raise InputError(f"{where}: 'labels' must be a list of class "
                                 'ids or names')
            yield where, entry['id'], labels, entry.get('path')

    def record(self, where: str, img_id: str, labels: Sequence[Any],
               path: Optional[str]) -> ImageRecord:
        for what, name in (('image id', img_id), ('path', path)):
            if name is None or _SAFE.fullmatch(name):
                continue
            reason = why_unsafe(name)
            if reason:
                raise InputError(f'{where}: {what} {name[:80]!r} {reason}')
        if img_id in self.seen:
            raise InputError(f'{where}: duplicate image id {img_id[:80]!r}, '
                             f'first at {self.seen[img_id]}')
        self.seen[img_id] = where
        # one number among the entries makes all of them ids
        names = all(isinstance(label, str) for label in labels)
        ids = {self.class_id(where, label, names) for label in labels}
        return ImageRecord(img_id, tuple(sorted(ids)), path, where)

    def class_id(self, where: str, label: Union[int, str], names: bool) -> int:
        if isinstance(label, str):
            if names and label in self.table:
                return self.table[label]
            hint = '' if self.classes else ' (names need metainfo.classes)'
            if ',' in label:
                hint = " (';' separates names, a comma is part of one)"
            raise InputError(f'{where}: {label[:80]!r} is neither a class id '
                             f'nor the name of a class{hint}')
        if not 0 <= label < self.limit:
            raise InputError(f'{where}: class id {label} is out of range '
                             f'0..{self.limit - 1}')
        return label
