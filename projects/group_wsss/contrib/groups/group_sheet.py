# Copyright (c) group_wsss contributors. All rights reserved.
"""A contact sheet of groups: the anchor, its partners, their tags."""
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw

from ...visualization.contact_sheet import (_FAINT, _INK, _PAPER, _fit, _font,
                                            _width, contact_sheet, fit_text)

_LINES = 2


class GroupMember(NamedTuple):
    """One image of a group.

    Attributes:
        image (np.ndarray): RGB uint8 ``(H, W, 3)``.
        name (str): Image id.
        tags (Sequence[tuple[str, bool]]): Names of its classes, and whether
            the anchor has them as well.
    """
    image: np.ndarray
    name: str
    tags: Sequence[Tuple[str, bool]]


def group_sheet(groups: Sequence[Sequence[GroupMember]],
                title: str = '',
                note: str = '',
                side: int = 176) -> Image.Image:
    """Lay groups out, one a row; tags shared with the anchor are bold.

    Args:
        groups (Sequence[Sequence[GroupMember]]): All of one size, the anchor
            first.
        title (str): Over everything. Defaults to none.
        note (str): Under everything. Defaults to none.
        side (int): Side of an image with its tags, in pixels. Defaults to
            176.

    Returns:
        PIL.Image.Image: RGB.
    """
    headings = ['anchor'] + [f'partner {i}' for i in range(1, len(groups[0]))]
    rows = [[_tile(member, side) for member in group] for group in groups]
    return contact_sheet(rows, headings, None, (), title, note, side)


def _tile(member: GroupMember, side: int) -> np.ndarray:
    """Image, id and tags in a square that the sheet need not scale."""
    unit = side / 176
    text = round(14 * unit)
    strip = (_LINES + 1) * text + round(4 * unit)
    tile = Image.new('RGB', (side, side), _PAPER)
    image = _fit(member.image, side - strip)
    factor = min(side / image.width, (side - strip) / image.height)
    if factor > 1:  # a wide one has room to grow
        image = _fit(member.image, int(factor * max(image.size)))
    tile.paste(image, ((side - image.width) // 2, 0))
    draw = ImageDraw.Draw(tile)
    small = _font(round(10 * unit))
    y = side - strip + round(3 * unit)
    draw.text((0, y), fit_text(member.name, small, side), _FAINT, small)
    for line in _lines(member.tags, unit, side):
        y += text
        for x, word, common in line:
            draw.text((x, y), word, _INK if common else _FAINT,
                      _font(round(11 * unit), common))
    return np.asarray(tile)


def _lines(tags: Sequence[Tuple[str, bool]], unit: float,
           side: int) -> List[List[Tuple[int, str, bool]]]:
    """Tags in lines; '+n' stands for those without room."""
    lines: List[List[Tuple[int, str, bool]]] = [[]]
    x, gap = 0, round(4 * unit)
    room = round(26 * unit)  # for '+n'
    for i, (name, common) in enumerate(tags):
        name += ',' if i < len(tags) - 1 else ''
        font = _font(round(11 * unit), common)
        last = len(lines) == _LINES
        left = side - (room if last and i < len(tags) - 1 else 0)
        if x and x + _width(font, name) > left:
            if last:
                lines[-1].append((x, f'+{len(tags) - i}', False))
                return lines
            lines.append([])
            x = 0
        name = fit_text(name, font, side - room)
        lines[-1].append((x, name, common))
        x += _width(font, name) + gap
    return lines
