# Copyright (c) group_wsss contributors. All rights reserved.
"""Text, JSON and XML of strangers: one line of complaint, no surprises."""
import json
import re
import xml.etree.ElementTree as ElementTree
from typing import Any, Optional

from ...utils.errors import InputError

_ENCODING = re.compile(rb'\A\s*<\?xml[^>]*?encoding\s*=\s*["\']([\w.-]+)')
# of one byte a character, and supersets of ASCII
_ENCODINGS = ('ascii', 'us-ascii', 'iso-8859-1', 'latin-1', 'windows-1252')
_DOCTYPE = re.compile(r'<!\s*(DOCTYPE|ENTITY)', re.IGNORECASE)


def read_bytes(path: str) -> bytes:
    """A file as it is.

    Args:
        path (str): The file.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise InputError(f'{path}: cannot be read: '
                         f'{error.strerror or error}') from None


def read_text(path: str) -> str:
    """A text in UTF-8, with or without a byte order mark.

    Args:
        path (str): The file.

    Raises:
        InputError: It cannot be read, is not UTF-8 or holds a NUL.
    """
    data = read_bytes(path)
    try:
        text = data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        line = data.count(b'\n', 0, error.start) + 1
        raise InputError(f'{path}:{line}: not UTF-8 text') from None
    if '\0' in text:
        line = text.count('\n', 0, text.index('\0')) + 1
        raise InputError(f'{path}:{line}: contains a NUL character')
    return text


def read_json(path: str) -> Any:
    """A JSON file.

    Args:
        path (str): The file.

    Raises:
        InputError: It cannot be read or is not JSON; the message names the
            line.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f'{path}:{error.lineno}: not JSON: '
                         f'{error.msg}') from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f'{path}: not JSON that can be read: nested too '
                         'deeply or a number too long') from None


class _PlainTree(ElementTree.TreeBuilder):
    """A tree that refuses document types, and with them all entities."""

    def doctype(self, name: str, pubid: Optional[str],
                system: Optional[str]) -> None:
        raise InputError('declares a document type or entities')


def read_xml(path: str) -> ElementTree.Element:
    """An XML file without document type, so that nothing in it expands.

    Args:
        path (str): The file; UTF-8, or declared as ASCII, ISO-8859-1 or
            windows-1252.

    Returns:
        Element: Its root.

    Raises:
        InputError: It cannot be read, is malformed, or declares a document
            type, entities or another encoding.
    """
    data = read_bytes(path)
    declared = _ENCODING.match(data)
    encoding = declared.group(1).decode().lower() if declared else 'utf-8'
    try:
        if encoding in _ENCODINGS:
            text = data.decode(encoding)
        elif encoding in ('utf-8', 'utf8'):
            text = read_text(path)
        else:
            raise InputError(f'{path}: encoding {encoding[:80]!r} is not '
                             'read; save it as UTF-8')
    except UnicodeDecodeError:
        raise InputError(f'{path}: is not {encoding}') from None
    # before any parsing: entities may expand without bound
    if _DOCTYPE.search(text):
        raise InputError(f'{path}: declares a document type or entities')
    parser = ElementTree.XMLParser(target=_PlainTree())  # nosec B314
    try:
        parser.feed(text)
        return parser.close()
    except InputError as error:
        raise InputError(f'{path}: {error}') from None
    except ElementTree.ParseError as error:
        raise InputError(f'{path}:{error.position[0]}: malformed XML: '
                         f'{error}') from None
    except (LookupError, ValueError) as error:
        raise InputError(f'{path}: malformed XML: {error}') from None
