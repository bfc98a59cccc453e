# Copyright (c) group_wsss contributors. All rights reserved.
"""Annotations of PASCAL VOC, in XML."""
import re
import xml.etree.ElementTree as ElementTree
from typing import Iterator, Optional, Tuple

from ..utils.errors import InputError

_DOCTYPE = re.compile(rb'<!\s*(DOCTYPE|ENTITY)', re.IGNORECASE)


class _PlainTree(ElementTree.TreeBuilder):
    """A tree that refuses document types, and with them all entities."""

    def doctype(self, name: str, pubid: Optional[str],
                system: Optional[str]) -> None:
        raise InputError('declares a document type or entities')


def parse_xml(data: bytes,
              encoding: Optional[str] = None) -> ElementTree.Element:
    """Parse XML without a document type, so that nothing in it expands.

    Args:
        data (bytes): The XML, in UTF-8 or another superset of ASCII.
        encoding (str, optional): Its encoding. Defaults to what it declares.

    Returns:
        Element: Its root.

    Raises:
        InputError: Malformed, or with a document type or entities; the
            message names no file.
    """
    # before any parsing: entities may expand without bound
    if b'\0' in data or _DOCTYPE.search(data):
        raise InputError('declares a document type or entities')
    parser = ElementTree.XMLParser(  # nosec B314
        target=_PlainTree(), encoding=encoding)
    try:
        parser.feed(data)
        return parser.close()
    except InputError:
        raise
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise InputError(f'malformed XML: {error}') from None


def voc_objects(root: ElementTree.Element) -> Iterator[Tuple[str, bool]]:
    """Name of each object, and whether it is marked as difficult."""
    if root.tag != 'annotation':
        raise InputError(
            f'is no VOC annotation: the root is {root.tag[:80]!r}')
    for number, item in enumerate(root.findall('object')):
        difficult = (item.findtext('difficult') or '0').strip()
        if difficult not in ('0', '1'):
            raise InputError(f"object[{number}]: 'difficult' is "
                             f'{difficult[:80]!r}, not 0 or 1')
        name = item.findtext('name')
        if name is None:
            raise InputError(f'object[{number}]: has no name')
        yield name.strip(), difficult == '1'
