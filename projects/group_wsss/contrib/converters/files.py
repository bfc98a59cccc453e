# Copyright (c) group_wsss contributors. All rights reserved.
"""Files of strangers: one line of complaint, no surprises."""
import re
from xml.etree.ElementTree import Element

from ...structures.text_files import read_text
from ...structures.voc_xml import parse_xml
from ...utils.errors import InputError

_ENCODING = re.compile(rb'\A\s*<\?xml[^>]*?encoding\s*=\s*["\']([\w.-]+)')
# of one byte a character, and supersets of ASCII
_ENCODINGS = ('ascii', 'us-ascii', 'iso-8859-1', 'latin-1', 'windows-1252')


def read_bytes(path: str) -> bytes:
    """A file as it is, or an InputError."""
    try:
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise InputError(f'{path}: cannot be read: '
                         f'{error.strerror or error}') from None


def read_xml(path: str) -> Element:
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
    if '\0' in text:
        line = text.count('\n', 0, text.index('\0')) + 1
        raise InputError(f'{path}:{line}: contains a NUL character')
    try:
        return parse_xml(text.encode(), 'utf-8')
    except InputError as error:
        raise InputError(f'{path}: {error}') from None
