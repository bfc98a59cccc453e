# Copyright (c) group_wsss contributors. All rights reserved.
"""A report in plain sentences."""
from typing import Any, Dict, List

from ...evaluation.table import format_table

# members of each "worst" list
_SHOWN = 5
# kind of error -> its name, and the share that tells its size
_KINDS = dict(
    missed_to_background=('objects labelled background',
                          'of the object pixels'),
    missed_to_unknown=('objects left unknown', 'of the object pixels'),
    taken=('objects labelled as another class', 'of the object pixels'),
    leak=('background labelled as an object', 'of the labelled foreground'))


def _images(count: int) -> str:
    return f'{count} image' + ('' if count == 1 else 's')


def describe(report: Dict[str, Any]) -> str:
    """Summary of a report for a terminal.

    Args:
        report (dict): Of :func:`analyze_dump`.

    Returns:
        str: Lines without a trailing newline.
    """
    lines = _describe_labels(report)
    if report['errors'] is not None:
        lines += ['', *_describe_errors(report)]
    if report['scores'] is not None:
        lines += ['', *_describe_thresholds(report)]
    if report['dump']['notes']:
        lines += ['', *(f'note: {note}' for note in report['dump']['notes'])]
    return '\n'.join(lines)


def _describe_labels(report: Dict[str, Any]) -> List[str]:
    """Lines on the labels, without masks."""
    labels, tags, dump = report['labels'], report['tags'], report['dump']
    lines = [
        f'{_images(labels["images"])} in {dump["folder"]}: '
        f'{labels["foreground_share"]:.1f} % of the pixels are foreground, '
        f'{labels["unknown_share"]:.1f} % unknown.'
    ]
    if labels['components']:
        lines.append(f'{labels["components"]} connected regions, '
                     f'{labels["specks"]} of them specks below 0.1 % of '
                     'their image.')
    if labels['images_without_foreground']:
        lines.append(f'{_images(labels["images_without_foreground"])} without '
                     'any foreground.')
    if labels['most_unknown']:
        lines.append('Most unknown: ' +
                     ', '.join(f'{row["id"]} ({row["unknown_share"]:.0f} %)'
                               for row in labels['most_unknown'][:_SHOWN]) +
                     '.')
    if tags is not None:
        lines += _describe_tags(report)
    if report['scores'] is not None and report['scores']['agreement'] < 95:
        lines.append(f'Only {report["scores"]["agreement"]:.1f} % of the '
                     'known pixels have the label that the saved scores give '
                     'at the threshold of the manifest: the scores are of '
                     'another run, or the labels were changed after them.')
    return lines


def _describe_tags(report: Dict[str, Any]) -> List[str]:
    """Tags against labels."""
    tags, lines = report['tags'], []
    what = ('classes of the masks'
            if report['dump']['tags_from'] == 'masks' else 'tags')
    if tags['missed']:
        rows = [row for row in report['per_class'] if row['tag_missed']]
        rows.sort(key=lambda row: -row['tag_missed'])
        lines.append(
            f'{tags["missed"]} of {tags["tags"]} {what} have no pixel '
            'in their label, most often ' +
            ', '.join(f'{row["class_name"]} ({row["tag_missed"]} of '
                      f'{row["tagged"]})' for row in rows[:_SHOWN]) + '.')
    else:
        lines.append(f'All {tags["tags"]} {what} have pixels in their label.')
    if tags['untagged']:
        lines.append(f'{tags["untagged"]} times the label of an image has a '
                     f'class that is not among its {what}.')
    return lines


def _describe_errors(report: Dict[str, Any]) -> List[str]:
    """Lines on the errors against the masks."""
    errors = report['errors']
    wrong = dict(errors['wrong_pixels'])
    total = sum(wrong.values()) + errors['unknown_background']
    lines = [
        f'Against the masks: mIoU {errors["mIoU"]:.2f}, near the contours '
        f'{errors["boundary_mIoU"]:.2f} (boundary IoU, 2 % of the diagonal).'
    ]
    if not total:
        return lines + ['Every pixel is right.']
    start = 'Most is lost by'
    for name in sorted(
            filter(wrong.get, wrong), key=lambda name: -wrong[name]):
        title, whole = _KINDS[name]
        lines.append(f'{start} {title}: {100 * wrong[name] / total:.0f} % of '
                     f'the wrong pixels, {errors[name]:.1f} % {whole}; '
                     f'most of all {_most(report, name)}.')
        start = 'Then'
    if errors['unknown_background']:
        lines.append(f'{100 * errors["unknown_background"] / total:.0f} % of '
                     'the wrong pixels are background left unknown.')
    pairs = [row for row in errors['pairs'] if row['taken']][:_SHOWN]
    if pairs:
        lines.append('Classes of one image that are taken for each other: ' +
                     '; '.join(f'{row["mask_class"]} labelled '
                               f'{row["label_class"]} in {row["share"]:.0f} % '
                               f'of its pixels ({_images(row["images"])} '
                               'with both)' for row in pairs) + '.')
    rows = [row for row in report['per_class'] if row['mask_images']]
    rows.sort(key=lambda row: row['iou'])
    lines += [
        '', f'The {min(_SHOWN, len(rows))} weakest classes, in percent:',
        format_table(('class', 'IoU', 'boundary', 'missed', 'leak', 'images'),
                     [(row['class_name'], row['iou'], row['boundary_iou'],
                       row['missed'], row['leak'], row['mask_images'])
                      for row in rows[:_SHOWN]]), ''
    ]
    by_id = {row['id']: row for row in report['images']}
    worst = [by_id[img_id] for img_id in errors['worst'][:_SHOWN]]
    lines.append(f'The {len(worst)} worst images (of {len(errors["worst"])} '
                 'in the files):')
    lines += [f'  {row["id"]}: {_reason(row)}' for row in worst]
    return lines


def _most(report: Dict[str, Any], kind: str) -> str:
    """The class with most pixels of a kind of error."""
    whole = 'pixels' if kind == 'leak' else 'mask_pixels'
    row = max(
        report['per_class'][1:],
        key=lambda row: 0
        if row[kind] != row[kind] else row[kind] * row[whole])
    part = 'of its label' if kind == 'leak' else 'of its pixels'
    return f'{row["class_name"]} ({row[kind]:.0f} % {part})'


def _reason(row: Dict[str, Any]) -> str:
    """Why an image is among the worst."""
    parts = []
    for name, text in (('unknown_share',
                        '% unknown'), ('missed', '% of the objects missed'),
                       ('leak', '% of the labelled foreground leaks')):
        if row[name] == row[name] and round(row[name]):
            parts.append(f'{row[name]:.0f} {text}')
    if row['worst_mask_class'] is not None:
        parts = [', '.join(parts)] if parts else []
        parts.append(f'mostly {row["worst_mask_class"]} labelled '
                     f'{row["worst_label_class"]}')
    return '; '.join([f'mIoU {row["mIoU"]:.1f}', *parts])


def _describe_thresholds(report: Dict[str, Any]) -> List[str]:
    """Background thresholds, by who chose them."""
    curve, fixed, lines = report['curve'], report['dump']['bg_threshold'], []
    if curve is None:
        lines = [
            f'Background threshold by {name}, from the scores alone: '
            f'{threshold:.4g}.'
            for name, threshold in report['scores']['proposals'].items()
        ]
        if fixed is not None:
            lines.append(f'Background threshold of the manifest: {fixed:.4g}.')
        return lines
    chosen = [('Background threshold of the manifest', curve['fixed'], '')]
    chosen += [(f'By {name}, from the scores alone', point, '')
               for name, point in curve['mask_free'].items()]
    chosen.append(('Oracle, chosen on masks', curve['oracle'],
                   ', an upper bound and no result'))
    for title, point, remark in chosen:
        if point is not None:
            lines.append(f'{title}: {point["threshold"]:.4g}, mIoU '
                         f'{point["mIoU"]:.2f}{remark}.')
    return lines
