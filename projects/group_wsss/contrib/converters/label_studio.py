# Copyright (c) group_wsss contributors. All rights reserved.
import posixpath
import re
from typing import Any, Dict, List, Optional, Sequence
from urllib.parse import parse_qs, unquote, urlsplit

from ...structures.image_list import ImageList, id_of_file
from ...utils.errors import InputError
from .builder import ListBuilder
from .files import read_json

# what regions carry their labels under
REGIONS = ('rectanglelabels', 'polygonlabels', 'brushlabels', 'ellipselabels',
           'keypointlabels', 'labels')
# what Label Studio puts before the name of an uploaded file
_UPLOAD = re.compile(r'^[0-9a-f]{8}-(?=.)')


def read_label_studio(path: str,
                      classes: Optional[Sequence[str]] = None,
                      image_key: str = 'image',
                      choice_key: str = 'choice',
                      regions: bool = False,
                      strip_upload: bool = False) -> ImageList:
    """Tags of a Label Studio export, JSON or JSON-MIN.

    Choices are tags, those of all annotations of a task together; cancelled
    (skipped) annotations and predictions do not count. The id is the last
    part of the image's address without suffix.

    Args:
        path (str): The file.
        classes (Sequence[str], optional): See :class:`ListBuilder`.
        image_key (str): Key of the image in the task's data. Defaults to
            'image'.
        choice_key (str): JSON-MIN only: key of a control that gives one
            choice as a plain string. Defaults to 'choice'.
        regions (bool): The labels of boxes, polygons and other regions are
            tags as well. Defaults to False.
        strip_upload (bool): Take the eight hex digits and the hyphen off
            that Label Studio puts before uploaded files. Defaults to False.

    Returns:
        ImageList: Tasks without annotations have no tags.

    Raises:
        InputError: One line with the file and the task at fault.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list):
        raise InputError(f'{path}: expected a list of tasks')
    builder = ListBuilder(path, classes)
    for number, task in enumerate(tasks):
        where = f'{path}: task[{number}]'
        if not isinstance(task, dict):
            raise InputError(f'{where}: expected an object')
        full = isinstance(task.get('data'), dict)
        address = (task['data'] if full else task).get(image_key)
        if not isinstance(address, str):
            raise InputError(f'{where}: has no image under {image_key!r}')
        if full:
            tags = _full(where, task, regions)
        else:
            tags = _minimal(where, task, choice_key, regions)
        name = _file_name(where, address)
        if strip_upload:
            name = _UPLOAD.sub('', name)
        builder.add(where, id_of_file(name), tags, name)
    return builder.build()


def _full(where: str, task: Dict[str, Any], regions: bool) -> List[Any]:
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
            value = result.get('value') if isinstance(result, dict) else None
            # relations between regions have no value
            if isinstance(value, dict):
                tags += _values(where, value, regions)
            elif not isinstance(result, dict) or value is not None:
                raise InputError(f'{where}: a result is no object with a '
                                 "'value'")
    return tags


def _minimal(where: str, task: Dict[str, Any], choice_key: str,
             regions: bool) -> List[Any]:
    """Tags of a task of the minimal export."""
    tags: List[Any] = []
    for key, value in task.items():
        if isinstance(value, dict):
            tags += _values(where, value, regions)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    tags += _values(where, item, regions)
        elif key == choice_key and value is not None:
            tags.append(value)
    return tags


def _values(where: str, value: Dict[str, Any], regions: bool) -> List[Any]:
    """Choices, and labels of regions if they count."""
    tags: List[Any] = []
    for key in ('choices', *(REGIONS if regions else ())):
        names = value.get(key, [])
        if isinstance(names, str):  # one choice, in some versions
            names = [names]
        if not isinstance(names, list):
            raise InputError(f'{where}: {key!r} must be a list of names')
        tags += names
    return tags


def _file_name(where: str, address: str) -> str:
    """Last part of a path or address."""
    try:
        parts = urlsplit(address)
        # local files: /data/local-files/?d=folder/a.jpg
        path = parse_qs(parts.query).get('d', [parts.path])[0]
    except ValueError:
        raise InputError(f'{where}: {address[:80]!r} is no address') from None
    name = posixpath.basename(unquote(path).replace('\\', '/'))
    if not name:
        raise InputError(f'{where}: {address[:80]!r} names no file')
    return name
