# Copyright (c) group_wsss contributors. All rights reserved.
import csv
import io
import os.path as osp
import re
from typing import Container, Dict, Iterator, List, Optional, Sequence, Tuple

from ...structures.image_list import ImageList
from ...structures.text_files import read_text
from ...utils.errors import InputError
from .builder import ListBuilder, is_nothing

DELIMITERS = {'.csv': ',', '.tsv': '\t', '.tab': '\t'}
SEPARATORS = (';', ',', ' ', '|')
SAID = re.compile(r'\s*"?sep *= *([^"\r\n])"?\1*(?=[\r\n])', re.IGNORECASE)


def read_table(path: str,
               classes: Optional[Sequence[str]] = None,
               id_column: str = 'id',
               tags_column: str = 'tags',
               path_column: str = 'path',
               delimiter: Optional[str] = None,
               separator: Optional[str] = None,
               merge: bool = False,
               suffix: str = '.jpg') -> ImageList:
    """A table with a header, one image a row.

    The id may be a file name: a known image suffix is taken off and the name
    is the path. Other columns are left out. An empty cell of tags is a
    image without any, and so is one with a word for nothing (``nan``). A
    first line ``sep=;``, as Excel writes it, tells the delimiter.

    Args:
        path (str): The file, UTF-8.
        classes (Sequence[str], optional): See :class:`ListBuilder`.
        id_column (str): Header of the ids, in any case. Defaults to 'id'.
        tags_column (str): Header of the tags. Defaults to 'tags'.
        path_column (str): Header of the paths; need not be there. Defaults
            to 'path'.
        delimiter (str, optional): Between columns. Defaults to a tab for
            ``.tsv`` and ``.tab`` and a comma for ``.csv``, or what the
            header has instead: a semicolon or a tab.
        separator (str, optional): Between tags: one of ``;``, ``,``, ``|``
            and a blank. Defaults to ';', or ',' where columns are parted by
            ';'.
        merge (bool): Rows of the same id are one image, as in tables
            with one tag a row. Defaults to False: a second row is refused.
        suffix (str): See :class:`ListBuilder`. Defaults to '.jpg'.

    Returns:
        ImageList: The list.

    Raises:
        InputError: One line with the file and the line at fault.
    """
    text = read_text(path)
    if '\0' in text:
        line = text.count('\n', 0, text.index('\0')) + 1
        raise InputError(f'{path}:{line}: contains a NUL character')
    said = SAID.match(text)
    if said:  # by Excel; an empty line in its place
        text = text[said.end():]
        delimiter = delimiter or said.group(1)
    if delimiter is None:
        ending = osp.splitext(path)[1].lower()
        if ending not in DELIMITERS:
            raise InputError(f'{path}: unknown suffix {ending!r}: use .csv or '
                             '.tsv, or give the delimiter')
        delimiter = _delimiter_of(text, DELIMITERS[ending], id_column)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise InputError(f'the delimiter {delimiter!r} is not one character '
                         'between columns')
    if separator is None:
        separator = ',' if delimiter == ';' else ';'
    assert separator in SEPARATORS, f'separator is one of {SEPARATORS}'
    builder = ListBuilder(path, classes, suffix)
    rows = _rows(path, text, delimiter)
    where, header = next(rows, (path, []))
    columns = _columns(where, header, id_column, tags_column,
                       path_column) if header else {}
    tagged = parted = 0
    blanks: List[str] = []
    places: Dict[str, List[str]] = {}
    for where, row in rows:
        if len(row) != len(header):
            raise InputError(f'{where}: {len(row)} columns, the header has '
                             f'{len(header)}')
        file = row[columns['path']].strip() if 'path' in columns else None
        file = None if is_nothing(file) else file
        cell = row[columns['tags']]
        tags = cell.split(None if separator == ' ' else separator)
        tags = [tag for tag in map(str.strip, tags) if tag]
        parted += len(tags) > 1
        blanks += [tag for tag in tags if len(tag.split()) > 1][:1]
        for tag in tags:
            places.setdefault(tag, []).append(where)
        tagged += bool(tags)
        builder.add_file(where, row[columns['id']].strip(), tags, file, merge)
    if 2 * len(blanks) > tagged and not parted:
        builder.notes.append(
            f'{len(blanks)} of {tagged} rows have a tag with a blank, such as '
            f"{blanks[0][:80]!r}: if blanks part tags, give --separator ' '")
    for tag in classes or ():
        places.pop(tag, None)
    builder.notes += _other_marks(places, separator, tagged)
    return builder.build()


def _rows(path: str, text: str,
          delimiter: str) -> Iterator[Tuple[str, List[str]]]:
    """File and line of each row that is not blank, and its cells."""
    reader = csv.reader(
        io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if any(map(str.strip, row)):
                yield f'{path}:{reader.line_num}', row
    except csv.Error as error:
        raise InputError(f'{path}:{reader.line_num}: {error}') from None


def _other_marks(places: Dict[str, List[str]], separator: str,
                 tagged: int) -> List[str]:
    """Doubt tags that hold another mark; refuse those of two known tags."""
    notes = []
    for mark in SEPARATORS + ('/', ):
        if mark == separator:
            continue
        in_names = mark in ' /'  # of classes
        marked = [tag for tag in places if mark in tag]
        joined = [tag for tag in marked if _known_parts(tag, mark, places)]
        rows = sum(len(places[tag]) for tag in marked)
        if joined and not in_names:
            tag = joined[0]
            raise InputError(
                f'{places[tag][0]}: {tag[:80]!r} holds tags of other rows, '
                f'parted by {mark!r}; tags of this table are parted by '
                f'{separator!r}: use one of both')
        if joined:  # perhaps a name of its own
            tag = joined[0]
            notes.append(f'{places[tag][0]}: {tag[:80]!r} is one tag, though '
                         'other rows have its parts')
        elif marked and not in_names:
            notes.append(f'{rows} of {tagged} rows have a tag with {mark!r}, '
                         f'such as {marked[0][:80]!r}: if it parts tags, give '
                         f'--separator {mark!r}')
    return notes


def _known_parts(tag: str, mark: str, known: Container[str]) -> bool:
    """Whether all that a mark parts, and something, is a tag as well."""
    parts = [part.strip() for part in tag.split(mark) if part.strip()]
    return bool(parts) and all(part in known for part in parts)


def _delimiter_of(text: str, usual: str, id_column: str) -> str:
    """What parts the columns: spreadsheets use a semicolon where numbers have
    a comma. Names of columns may hold any of them: the ids decide.
    """
    first = next((line for line in text.splitlines() if line.strip()), '')
    found = [mark for mark in (usual, ';', '\t') if mark in first]
    wanted = id_column.strip().casefold()
    for mark in found:
        try:
            cells = next(csv.reader([first], delimiter=mark))
        except csv.Error:  # told with its line when the table is read
            continue
        if wanted in [cell.strip().casefold() for cell in cells]:
            return mark
    return found[0] if found else usual


def _columns(where: str, row: List[str], *wanted: str) -> Dict[str, int]:
    """Position of ids, tags and, if there is such a column, paths."""
    header = [name.strip().casefold() for name in row]
    columns: Dict[str, int] = {}
    for key, name in zip(('id', 'tags', 'path'), wanted):
        number = header.count(name.strip().casefold())
        if number > 1:
            raise InputError(f'{where}: the header has column {name!r} twice')
        if number:
            columns[key] = header.index(name.strip().casefold())
        elif key != 'path':
            raise InputError(f'{where}: the header has no column {name!r} '
                             f'(--{key}-column), it has '
                             f'{", ".join(map(str.strip, row))[:80]!r}')
    return columns
