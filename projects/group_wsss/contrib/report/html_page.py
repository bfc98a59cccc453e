# Copyright (c) group_wsss contributors. All rights reserved.
"""``index.html``, from a template and a report."""
from collections import Counter
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from .markup import (class_table, config_block, definitions, number, options,
                     run_rows)
from .place import MARK
from .sources import PageSource
from .svg import bars_svg, curve_svg, histogram_svg, marks

STATIC = Path(__file__).parent / 'static'


def html_page(report: Mapping[str, Any], source: PageSource,
              entries: Sequence[Sequence[Any]]) -> bytes:
    """Fill the template.

    Args:
        report (Mapping): Of :func:`group_wsss.evaluation.analyze_dump`.
        source (PageSource): What the page is made from.
        entries (Sequence[Sequence]): Index of the gallery, of
            :func:`make_entry`.

    Returns:
        bytes: UTF-8.
    """
    template = Template((STATIC / 'index.html').read_text('utf-8'))
    labels = report['labels']
    gallery = f'{number(len(entries))} of {number(labels["images"])}'
    if len(entries) == labels['images']:
        gallery = f'All {number(labels["images"])}'
    text = template.substitute(
        mark=MARK,
        title=escape(source.name),
        tiles=definitions(_tiles(report), 'tiles'),
        gallery=f'{gallery} images, figures are of all of them.',
        notes=''.join(f'<p class="note">{escape(note)}</p>\n'
                      for note in source.dump.notes),
        classes=options(_class_options(entries, source.dump.names)),
        orders=options(_orders(report, source)),
        threshold_off='' if source.dump.scores else 'hidden',
        scores=_scores_section(report),
        bars=_bars(report),
        table=class_table(report['per_class']),
        labels=definitions(_label_rows(report), 'facts'),
        run=definitions(run_rows(source.facts), 'facts run'),
        config=config_block(source.facts))
    return text.encode()


def _tiles(report: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """The figures that one looks for first."""
    labels, errors = report['labels'], report['errors']
    tiles = [('images', number(labels['images'])),
             ('classes', number(len(report['per_class']) - 1)),
             ('foreground', number(labels['foreground_share'], 1, ' %')),
             ('unknown', number(labels['unknown_share'], 1, ' %'))]
    if errors is not None:
        tiles.insert(0, ('mIoU', number(errors['mIoU'])))
    return tiles


def _class_options(entries: Sequence[Sequence[Any]],
                   names: Sequence[str]) -> List[Tuple[str, str]]:
    """Classes by how many images have them, as label or as tag."""
    counts: Counter = Counter()
    for entry in entries:
        counts.update({*entry[3], *entry[4]})
    pairs = [('', 'all')]
    return pairs + [(str(i), f'{names[i]} ({count})')
                    for i, count in sorted(counts.items())]


def _orders(report: Mapping[str, Any],
            source: PageSource) -> List[Tuple[str, str]]:
    """Ways to sort the gallery."""
    pairs = [('name', 'name')]
    if report['errors'] is not None:
        pairs += [('worst', 'worst mIoU first'), ('best', 'best mIoU first')]
    pairs += [('unknown', 'most unknown first'),
              ('foreground', 'most foreground first'),
              ('little', 'least foreground first')]
    if report['tags'] is not None:
        pairs.append(('missed', 'most missed tags first'))
    return pairs


def _scores_section(report: Mapping[str, Any]) -> str:
    """Threshold curve, or the histogram alone, or why there is neither."""
    scores, curve = report['scores'], report['curve']
    if scores is None:
        return '<p class="note">The dump holds no scores.</p>'
    proposals = ', '.join(f'{name} {value:.3f}'
                          for name, value in scores['proposals'].items())
    parts, rows = ['<div class="figures">'], []
    if curve is not None:
        rows = [(name, f'{point["mIoU"]:.1f} at {point["threshold"]:.3f}')
                for name, point in marks(curve).items()]
        parts.append(
            '<figure>' + curve_svg(curve) + '<figcaption>'
            '<span class="key mIoU">mIoU</span>'
            '<span class="key missed">object pixels missed</span>'
            '<span class="key leaking">label pixels on background</span> '
            'in percent, of labels that the scores would give. The upright '
            'line is the threshold of the gallery.</figcaption></figure>')
    parts.append('<figure>' + histogram_svg(scores['histogram']) +
                 '<figcaption>Best score of each pixel, every image '
                 'with the same weight; bins as high as the plot are cut. '
                 f'Thresholds that follow from it alone: {escape(proposals)}.'
                 '</figcaption></figure></div>')
    if rows:
        parts.append(definitions(rows, 'facts'))
    return '\n'.join(parts)


def _bars(report: Mapping[str, Any]) -> str:
    """Bars of the classes; they need masks."""
    if report['errors'] is None:
        return ('<p class="note">No masks were given, so nothing is judged '
                '(--masks).</p>')
    return ('<figure>' + bars_svg(report['per_class']) + '<figcaption>IoU in '
            'percent against the masks, unknown pixels counted as missed. '
            'Masks judge the labels here; they made none of them.'
            '</figcaption></figure>')


def _label_rows(report: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """What the labels say of themselves, and what the masks say."""
    labels, tags, errors = report['labels'], report['tags'], report['errors']
    rows: Dict[str, str] = {
        'Pixels': number(labels['pixels']),
        'Images without foreground':
        number(labels['images_without_foreground']),
        'Regions': number(labels['components']),
        'Regions below a thousandth of the image': number(labels['specks'])
    }
    if tags is not None:
        rows['Tags'] = number(tags['tags'])
        rows['Tags that the label lacks'] = number(tags['missed'])
        rows['Classes that are no tag'] = number(tags['untagged'])
    if report['scores'] is not None:
        rows['Label pixels that scores and threshold explain'] = number(
            report['scores']['agreement'], 1, ' %')
    if errors is not None:
        rows['mIoU, unknown left out'] = number(errors['mIoU_known'])
        rows['mIoU at boundaries'] = number(errors['boundary_mIoU'])
        rows['Object pixels missed'] = number(errors['missed'], 1, ' %')
        rows['Label pixels on background'] = number(errors['leak'], 1, ' %')
        rows['Label pixels on another class'] = number(errors['confused'], 1,
                                                       ' %')
    return list(rows.items())
