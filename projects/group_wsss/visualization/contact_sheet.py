# Copyright (c) group_wsss contributors. All rights reserved.
"""A sheet of images with headings, captions and a legend."""
import os.path as osp
from typing import Optional, Sequence, Tuple, Union

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_PAPER = (250, 250, 248)
_INK = (32, 32, 36)
_FAINT = (112, 112, 118)
_Font = Union[ImageFont.ImageFont, ImageFont.FreeTypeFont]


def _font(size: int, bold: bool = False) -> _Font:
    """DejaVu Sans, which comes with matplotlib; else Pillow's own."""
    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    try:
        import matplotlib
        return ImageFont.truetype(
            osp.join(matplotlib.get_data_path(), 'fonts', 'ttf', name), size)
    except (ImportError, OSError):
        return ImageFont.load_default()


def _width(font: _Font, text: str) -> int:
    return int(np.ceil(font.getlength(text)))


def fit_text(text: str, font: _Font, width: int) -> str:
    """Shorten a name in the middle: both of its ends tell names apart.

    Args:
        text (str): White space in it becomes one blank.
        font (ImageFont): What it is written in.
        width (int): Pixels there are.

    Returns:
        str: As it is if it fits.
    """
    text = ' '.join(text.split())
    short, keep = text, len(text)
    while keep and _width(font, short) > width:
        keep -= 1
        short = f'{text[:(keep + 1) // 2]}...{text[len(text) - keep // 2:]}'
    return short


def _fit(image: np.ndarray, side: int) -> Image.Image:
    """Scale into a square; sharp where it is enlarged, smooth otherwise."""
    tile = Image.fromarray(np.ascontiguousarray(image)).convert('RGB')
    factor = side / max(tile.size)
    width, height = (max(1, round(factor * edge)) for edge in tile.size)
    way = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.LANCZOS
    return tile.resize((width, height), way)


def legend_strip(entries: Sequence[Tuple[str, Sequence[int]]], width: int,
                 side: int) -> Image.Image:
    """Names and colours in as many lines as they need.

    Args:
        entries (Sequence): Names and RGB colours.
        width (int): Of the strip in pixels.
        side (int): Of the images beside it; texts grow with it.

    Returns:
        PIL.Image.Image: RGB, with a margin below.
    """
    unit = side / 176
    gap, margin, box = round(10 * unit), round(22 * unit), round(13 * unit)
    line = round(20 * unit)
    font = _font(round(13 * unit))
    places, x, y = [], margin, 0
    for name, colour in entries:
        name = fit_text(name, font, width - 2 * margin - box - gap // 2)
        step = box + gap // 2 + _width(font, name) + 2 * gap
        if x > margin and x + step > width - margin:
            x, y = margin, y + line
        places.append((x, y, name, colour))
        x += step
    strip = Image.new('RGB', (width, y + line + margin), _PAPER)
    draw = ImageDraw.Draw(strip)
    for x, y, name, colour in places:
        draw.rectangle((x, y + 2, x + box, y + 2 + box),
                       tuple(int(value) for value in colour), _FAINT)
        draw.text((x + box + gap // 2, y), name, _INK, font)
    return strip


def text_strip(text: str, width: int) -> Image.Image:
    """A line of text to put under an image.

    Args:
        text (str): Shortened in the middle if it is too long.
        width (int): Of the strip in pixels.

    Returns:
        PIL.Image.Image: RGB, 20 pixels high.
    """
    strip = Image.new('RGB', (width, 20), _PAPER)
    font = _font(12)
    ImageDraw.Draw(strip).text((4, 3), fit_text(text, font, width - 8), _FAINT,
                               font)
    return strip


def contact_sheet(rows: Sequence[Sequence[np.ndarray]],
                  headings: Sequence[str],
                  captions: Optional[Sequence[str]] = None,
                  legend: Sequence[Tuple[str, Sequence[int]]] = (),
                  title: str = '',
                  note: str = '',
                  side: int = 176) -> Image.Image:
    """Lay images out as a table.

    Args:
        rows (Sequence[Sequence[np.ndarray]]): Images, RGB uint8
            ``(H, W, 3)``; all rows have one for each heading.
        headings (Sequence[str]): Over the columns; ``\\n`` starts a second,
            fainter line. What is too long is shortened in the middle.
        captions (Sequence[str], optional): Under the first image of each
            row. Defaults to None.
        legend (Sequence): Names and RGB colours. Defaults to none.
        title (str): Over everything. Defaults to none.
        note (str): Under everything. Defaults to none.
        side (int): Longer side of an image in pixels. Defaults to 176.

    Returns:
        PIL.Image.Image: RGB.
    """
    assert rows and all(len(row) == len(headings) for row in rows), (
        f'{len(headings)} headings need as many images in every row')
    assert captions is None or len(captions) == len(rows), (
        f'{len(rows)} rows need as many captions')
    unit = side / 176
    gap, margin = round(10 * unit), round(22 * unit)
    small = _font(round(12 * unit))
    bold, large = (_font(round(size * unit), True) for size in (13, 19))
    text = round(18 * unit)  # height of a line
    cell_h = side + (text + gap // 2 if captions else 0) + gap
    top = margin + (2 * text if title else 0)
    head = text * max(h.count('\n') + 1 for h in headings) + gap // 2
    width = max(
        2 * margin + len(headings) * (side + gap) - gap,
        *(2 * margin + _width(font, line)
          for font, line in ((large, title), (small, note))))
    strip = legend_strip(legend, width, side) if legend else None
    legend_h = strip.height if strip else 0
    height = (
        top + head + len(rows) * cell_h + legend_h + (text if note else 0) +
        margin)
    sheet = Image.new('RGB', (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((margin, margin - gap // 2), title, _INK, large)
    for i, heading in enumerate(headings):
        for j, line in enumerate(heading.split('\n')):
            font = small if j else bold
            draw.text((margin + i * (side + gap), top + j * text),
                      fit_text(line, font, side), _FAINT if j else _INK, font)
    for r, row in enumerate(rows):
        y = top + head + r * cell_h
        for i, image in enumerate(row):
            tile = _fit(image, side)
            x = margin + i * (side + gap)
            sheet.paste(tile, (x + (side - tile.width) // 2, y +
                               (side - tile.height) // 2))
        if captions:
            draw.text((margin, y + side + gap // 4),
                      fit_text(captions[r], small, width - 2 * margin), _FAINT,
                      small)
    y = top + head + len(rows) * cell_h
    if strip:
        sheet.paste(strip, (0, y))
        y += legend_h
    if note:
        draw.text((margin, y - gap // 2), note, _FAINT, small)
    return sheet
