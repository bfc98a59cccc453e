# Copyright (c) group_wsss contributors. All rights reserved.
"""Statistics of labels in words, and as Markdown."""
from typing import Any, Dict, List, Sequence

# names and rows that a sentence or a table of the page lists
_MAX_NAMES, _MAX_ROWS = 8, 20


def label_advice(statistics: Dict[str, Any]) -> List[str]:
    """Plain sentences: what the labels allow, and what to do.

    Args:
        statistics (dict): Of :func:`label_statistics`.

    Returns:
        list[str]: At least one sentence.
    """
    size, total = statistics['group_size'], statistics['images']
    exact, each = statistics['rules']['exact'], statistics['rules']['each']
    lines = []
    if exact['alone']:
        text = (f'{exact["alone"]:,} of {total:,} images share their label '
                "set with nobody; match='any' or 'each' gives ")
        without = each['alone']
        if without == exact['alone']:
            text = text.split(';')[0] + (', and no class with anybody either')
        elif without:
            text += (f'{exact["alone"] - without:,} of them partners, '
                     f'{without:,} of them share no class with anybody')
        else:
            text += 'them partners'
        lines.append(text + '. (match=\'exact\' falls back to \'any\' for '
                     'such images, and that to any image.)')
    if exact['few']:
        lines.append(
            f'{_have(exact["few"])} label sets of fewer than {size} '
            f'images: with match=\'exact\' their groups of {size} repeat '
            'partners.')
    if not exact['alone'] and not exact['few']:
        lines.append(f'Every labelled image has {size - 1} different partners '
                     "with its own label set: match='exact' works for all.")
    if each['few']:
        lines.append(f'{_have(each["few"])} a class of fewer than '
                     f"{size} images: with match='any' or 'each' a partner "
                     'may be repeated.')
    lines += _about_classes(statistics['per_class'], size)
    if statistics['many_classes']:
        most = statistics['many_classes']
        lines.append(
            f'{_have(most)} more than {size - 1} classes: a group of '
            f"{size} with match='each' cannot show all of these elsewhere; a "
            'larger group_size at inference can.')
    if statistics['unlabelled']:
        lines.append(
            f'{_have(statistics["unlabelled"])} no class: training '
            "leaves them out (unlabeled='drop'), else any image may be their "
            'partner.')
    return lines


def _have(count: int) -> str:
    return '1 image has' if count == 1 else f'{count:,} images have'


def _about_classes(rows: Sequence[Dict[str, Any]], size: int) -> List[str]:
    lines = []
    for low, high, text in ((0, 0, 'no image: they cannot be learnt'),
                            (1, 1, 'a single image: no partner shows them; '
                             'find more images, or leave them out'),
                            (2, size - 1, f'fewer than {size} images: too few '
                             'for a group without repeats')):
        names = [
            row['class_name'] for row in rows if low <= row['images'] <= high
        ]
        if names:
            some = ', '.join(names[:_MAX_NAMES])
            more = len(names) - _MAX_NAMES
            some += f' and {more:,} more' if more > 0 else ''
            lines.append(f'{len(names):,} of {len(rows):,} classes have '
                         f'{text} ({some}).')
    return lines


def label_page(statistics: Dict[str, Any], title: str) -> str:
    """The statistics as a Markdown page.

    Args:
        statistics (dict): Of :func:`label_statistics`.
        title (str): Its heading.

    Returns:
        str: Ends in a newline.
    """
    size = statistics['group_size']
    parts = [
        f'# {title}', f'{statistics["images"]:,} images, '
        f'{statistics["pairs"]:,} labels, {statistics["sets"]:,} distinct '
        f'label sets, groups of {size}.',
        '\n'.join(f'- {line}' for line in label_advice(statistics)),
        '## Rules', 'Images that find nobody by the rule, that may have to '
        f'repeat a partner, that always have {size - 1} different ones.',
        markdown_table(('match', 'nobody', 'repeats', 'enough'),
                       [(rule, row['alone'], row['few'], row['full'])
                        for rule, row in statistics['rules'].items()]),
        '## How many images share a label set',
        markdown_table(
            ('images of a set', 'sets', 'images'),
            [(str(row['from']) if row['from'] == row['to'] else
              f'{row["from"]:,} to {row["to"]:,}', row['sets'], row['images'])
             for row in statistics['set_sizes']]), '## Classes',
        markdown_table(
            ('class', 'images', 'label sets', 'only class of',
             'set shared with nobody', f'by fewer than {size}', 'by enough'),
            [(row['class_name'], row['images'], row['sets'], row['only_class'],
              row['set_alone'], row['set_few'], row['set_full'])
             for row in statistics['per_class']]), '## Largest label sets',
        markdown_table(('label set', 'images', 'exact', 'any', 'each'),
                       [(', '.join(row['classes']), row['images'],
                         row['exact'], row['any'], row['each'])
                        for row in statistics['per_set'][:_MAX_ROWS]])
    ]
    return '\n\n'.join(parts) + '\n'


def markdown_table(header: Sequence[str],
                   rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; text to the left, numbers to the right."""

    def cell(value: Any) -> str:
        if isinstance(value, int):
            return f'{value:,}'
        # a bar would start a cell, a line end a row
        return ' '.join(str(value).split()).replace('|', '\\|')

    right = [bool(rows) and not isinstance(value, str)
             for value in rows[0]] if rows else [False] * len(header)
    lines = [[cell(value) for value in row] for row in rows]
    lines = [list(header), ['--:' if r else '---' for r in right], *lines]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)
