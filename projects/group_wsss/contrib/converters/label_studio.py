# Copyright (c) group_wsss contributors. All rights reserved.
import posixpath
import re
from collections import Counter, defaultdict
from typing import Any, Dict, List, Optional, Sequence, Set
from urllib.parse import parse_qs, unquote, urlsplit

from ...structures.image_list import ImageList
from ...structures.text_files import parse_json, read_text
from ...utils.errors import InputError
from .builder import ListBuilder

# what regions carry their labels under
REGIONS = ('rectanglelabels', 'polygonlabels', 'brushlabels', 'ellipselabels',
           'keypointlabels', 'bitmasklabels', 'vectorlabels', 'labels')
# other results of JSON-MIN, told from data by their key
_OTHERS = ('taxonomy', 'text', 'rating', 'number', 'datetime', 'ranker')
# key of JSON-MIN whose plain text is a choice without further evidence
_CHOICE = 'choice'
# texts of JSON-MIN that no annotator wrote
_RECORDS = ('created_at', 'updated_at', 'annotator')
# what Label Studio puts before the name of an uploaded file
_UPLOAD = re.compile(r'^[0-9a-f]{8}-(?=.)')


def read_label_studio(path: str,
                      classes: Optional[Sequence[str]] = None,
                      image_key: str = 'image',
                      choice_key: Optional[str] = None,
                      regions: bool = False,
                      strip_upload: bool = False) -> ImageList:
    """Tags of a Label Studio export, JSON or JSON-MIN.

    Choices are tags, those of all annotations of an image together;
    cancelled (skipped) annotations and predictions do not count. The id is
    the last part of the image's address without suffix.

    JSON-MIN writes a single choice as plain text, as it does the data of a
    task: it is taken where the same key has a list of choices elsewhere, or
    is ``choice_key``.

    Args:
        path (str): The file.
        classes (Sequence[str], optional): See :class:`ListBuilder`.
        image_key (str): Key of the image in the task's data. Defaults to
            'image'.
        choice_key (str, optional): Name of the one control whose choices are
            tags (``from_name``, a key in JSON-MIN). Defaults to None: those
            of all controls, and plain texts under 'choice'.
        regions (bool): The labels of boxes, polygons and other regions are
            tags as well. Defaults to False.
        strip_upload (bool): Take the eight hex digits and the hyphen off
            that Label Studio puts before uploaded files. Defaults to False.

    Returns:
        ImageList: Tasks without annotations have no tags.

    Raises:
        InputError: One line with the file and the task at fault.
    """
    tasks = parse_json(read_text(path), path)
    if not isinstance(tasks, list):
        raise InputError(f'{path}: expected a list of tasks')
    builder = ListBuilder(path, classes)
    reader = _Reader(builder, choice_key, regions)
    reader.lists = {
        key
        for task in tasks if isinstance(task, dict)
        for key, value in task.items() for item in _as_list(value)
        if isinstance(item, dict) and 'choices' in item
    } | {_CHOICE}
    addresses: Dict[str, str] = {}
    for number, task in enumerate(tasks):
        where = f'{path}: task[{number}]'
        if not isinstance(task, dict):
            raise InputError(f'{where}: expected an object')
        full = isinstance(task.get('data'), dict)
        address = (task['data'] if full else task).get(image_key)
        if not isinstance(address, str):
            raise InputError(f'{where}: has no image under {image_key!r}')
        if full:
            tags = reader.full(where, task)
        else:
            tags = reader.minimal(where, task, image_key)
        name = _file_name(where, address)
        if strip_upload:
            name = _UPLOAD.sub('', name)
        # JSON-MIN has an entry for each annotation
        again = addresses.setdefault(name, address) == address
        builder.add_file(where, name, tags, name, merge=again)
    controls = reader.controls
    if choice_key is not None and choice_key not in controls:
        raise InputError(
            f'{path}: no choices under {choice_key!r}; there are some under: '
            f'{", ".join(sorted([*controls, *reader.texts])) or "nothing"}')
    if choice_key is None and len(controls) > 1:
        mixed = '; '.join(f'{control} ({", ".join(sorted(found)[:4])})'
                          for control, found in sorted(controls.items()))
        builder.notes.append(f'choices of {len(controls)} controls are mixed '
                             f'(--choice-key NAME takes one): {mixed}')
    if choice_key is None and reader.texts:
        builder.notes.append(
            'texts that may be data or single choices (--choice-key NAME '
            f'takes them): {", ".join(sorted(reader.texts))}')
    return builder.build()


def _as_list(value: Any) -> List[Any]:
    return value if isinstance(value, list) else [value]


class _Reader:
    """Tags of tasks, and the controls that they come from."""

    def __init__(self, builder: ListBuilder, choice_key: Optional[str],
                 regions: bool) -> None:
        self.builder = builder
        self.choice_key = choice_key
        self.regions = regions
        # control -> its choices
        self.controls: Dict[str, Set[str]] = defaultdict(set)
        # keys of JSON-MIN that have lists of choices, and texts alone
        self.lists: Set[str] = set()
        self.texts: Counter = Counter()

    def full(self, where: str, task: Dict[str, Any]) -> List[Any]:
        """Tags of a task of the full export."""
        tags: List[Any] = []
        annotations = task.get('annotations', [])
        if not isinstance(annotations, list):
            raise InputError(f"{where}: 'annotations' must be a list")
        for annotation in annotations:
            if not isinstance(annotation, dict):
                raise InputError(f'{where}: an annotation is no object')
            if annotation.get('was_cancelled'):
                continue
            results = annotation.get('result', [])
            if not isinstance(results, list):
                raise InputError(f"{where}: 'result' must be a list")
            for result in results:
                value = (
                    result.get('value') if isinstance(result, dict) else None)
                # relations between regions have no value
                if isinstance(value, dict):
                    tags += self.values(where, value,
                                        str(result.get('from_name', _CHOICE)),
                                        str(result.get('type')))
                elif not isinstance(result, dict) or value is not None:
                    raise InputError(f'{where}: a result is no object with a '
                                     "'value'")
        return tags

    def minimal(self, where: str, task: Dict[str, Any],
                image_key: str) -> List[Any]:
        """Tags of a task of the minimal export."""
        tags: List[Any] = []
        for key, value in task.items():
            for item in [] if key == image_key else _as_list(value):
                if isinstance(item, dict):
                    kind = next((k for k in _OTHERS if k in item), None)
                    tags += self.values(where, item, key, kind)
                elif isinstance(item, list) and item:
                    self.values(where, {}, key, 'taxonomy')
                elif isinstance(item, str) and item:
                    if key in self.lists or key == self.choice_key:
                        tags += self.values(where, dict(choices=item), key)
                    elif key not in _RECORDS:
                        self.texts[key] += 1
        return tags

    def values(self,
               where: str,
               value: Dict[str, Any],
               control: str,
               kind: Optional[str] = None) -> List[Any]:
        """Choices, and labels of regions if they count."""
        tags: List[Any] = []
        for key in ('choices', *REGIONS):
            names = value.get(key, [])
            if isinstance(names, str):  # one choice, in some versions
                names = [names]
            if not isinstance(names, list):
                raise InputError(f'{where}: {key!r} must be a list of names')
            if key == 'choices' and names:
                self.controls[control].update(map(str, names))
                if self.choice_key in (None, control):
                    tags += names
            elif names and self.regions:
                tags += names
            elif names:
                self.builder.leave_out(
                    key, 'labels of regions (--regions takes them)')
        if kind and not any(key in value for key in ('choices', *REGIONS)):
            self.builder.leave_out(kind, 'results that are no choices')
        return tags


def _file_name(where: str, address: str) -> str:
    """Last part of a path or address."""
    try:
        # no image is a fragment: '#' belongs to its name
        parts = urlsplit(address, allow_fragments=False)
        # local files: /data/local-files/?d=folder/a.jpg
        path = parse_qs(parts.query).get('d', [unquote(parts.path)])[0]
    except ValueError:
        raise InputError(f'{where}: {address[:80]!r} is no address') from None
    name = posixpath.basename(path.replace('\\', '/'))
    if not name:
        raise InputError(f'{where}: {address[:80]!r} names no file')
    return name
