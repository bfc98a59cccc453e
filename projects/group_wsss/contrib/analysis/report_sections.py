# Copyright (c) group_wsss contributors. All rights reserved.
"""Sections of a report, from counts; :func:`analyze_dump` names them."""
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np

from ...evaluation.confusion import class_scores, divide, mean_known
from .activation import activation_counts, activation_shares, total_shares
from .co_occurrence import pair_rows
from .threshold_curve import oracle_of, threshold_curve

WORST = 50


def labels_section(totals: Dict[str, np.ndarray],
                   rows: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """Figures of the labels alone."""
    pixels = totals['pixels']
    unknown = [row for row in rows if row['unknown_share'] > 0]
    unknown.sort(key=lambda row: -row['unknown_share'])
    return dict(
        images=len(rows),
        pixels=int(pixels.sum()),
        unknown_share=100 * float(pixels[-1] / pixels.sum()),
        foreground_share=100 * float(pixels[1:-1].sum() / pixels.sum()),
        images_without_foreground=sum(row['foreground_share'] == 0
                                      for row in rows),
        components=int(totals['components'].sum()),
        specks=int(totals['specks'].sum()),
        most_unknown=[
            dict(id=row['id'], unknown_share=row['unknown_share'])
            for row in unknown[:WORST]
        ])


def tags_section(totals: Dict[str, np.ndarray],
                 rows: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """Classes that an image has but its label lacks."""
    return dict(
        tags=int(totals['tagged'].sum()),
        missed=int(totals['tag_missed'].sum()),
        untagged=int(totals['untagged'].sum()),
        images_with_missed=sum(bool(row['missed_tags']) for row in rows))


def scores_section(totals: Dict[str, np.ndarray], histogram: np.ndarray,
                   proposals: Dict[str, float]) -> Dict[str, Any]:
    """Histogram of best scores, and what it says without masks."""
    known, equal = totals['agreement'].tolist()
    return dict(
        histogram=histogram.tolist(),
        proposals=proposals,
        agreement=100 * equal / known if known else float('nan'))


def errors_section(totals: Dict[str, np.ndarray], rows: Sequence[Dict[str,
                                                                      Any]],
                   names: Sequence[str]) -> Dict[str, Any]:
    """Errors of the labels against the masks."""
    confusion = totals['confusion']
    judged = [row for row in rows if row['mIoU'] == row['mIoU']]
    judged.sort(key=lambda row: row['mIoU'])
    return dict(
        mIoU=100 * mean_known(class_scores(confusion, 'wrong')['iou']),
        mIoU_known=100 * mean_known(class_scores(confusion, 'ignored')['iou']),
        mIoU_unknown_as_background=100 *
        mean_known(class_scores(confusion, 'background')['iou']),
        boundary_mIoU=100 * mean_known(divide(*totals['boundary'])),
        **total_shares(confusion),
        wrong_pixels={
            name: int(count[1:].sum())
            for name, count in activation_counts(confusion).items()
            if name not in ('truth', 'label', 'missed', 'confused')
        },
        unknown_background=int(confusion[0, -1]),
        confusion=confusion.tolist(),
        pairs=pair_rows(totals['pairs'], names),
        worst=[row['id'] for row in judged[:WORST]])


def curve_section(totals: Dict[str, np.ndarray],
                  thresholds: Union[Sequence[float],
                                    np.ndarray], fixed: Optional[float],
                  proposals: Dict[str, float]) -> Dict[str, Any]:
    """The curve, and its points that somebody chose."""
    points = threshold_curve(totals['hit'], totals['pred'], totals['truth'],
                             thresholds)

    def at(threshold: Optional[float], chosen_on: str) -> Optional[dict]:
        for point in points:
            if point['threshold'] == threshold:
                return dict(point, chosen_on=chosen_on)
        return None

    return dict(
        points=points,
        fixed=at(fixed, 'manifest'),
        mask_free={
            name: at(threshold, 'scores')
            for name, threshold in proposals.items()
        },
        oracle=oracle_of(points) or None)


def per_class_section(totals: Dict[str, np.ndarray],
                      names: Sequence[str]) -> List[Dict[str, Any]]:
    """One row a class."""
    columns: Dict[str, np.ndarray] = dict(
        pixels=totals['pixels'][:-1],
        share=100 * divide(totals['pixels'][:-1], totals['pixels'].sum()))
    for name in ('images', 'tagged', 'tag_missed', 'untagged', 'components',
                 'specks'):
        columns[name] = totals[name]
    if 'confusion' in totals:
        confusion = totals['confusion']
        columns['mask_pixels'] = confusion.sum(axis=1)
        columns['mask_images'] = totals['mask_images']
        for name, value in class_scores(confusion).items():
            columns[name] = 100 * value
        columns['boundary_iou'] = 100 * divide(*totals['boundary'])
        columns.update(activation_shares(activation_counts(confusion)))
    return [
        dict(
            class_name=name,
            **{
                key: column[i].item()
                for key, column in columns.items()
            }) for i, name in enumerate(names)
    ]
