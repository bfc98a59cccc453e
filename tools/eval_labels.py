# Copyright (c) group_wsss contributors. All rights reserved.
"""IoU of a folder of label PNGs against a folder of masks."""
import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.evaluation import (dump_classes, evaluate_folder, format_table,
                                   read_id_list)
from group_wsss.structures.manifest import SUPERVISION, Manifest
from group_wsss.utils import cli
from group_wsss.utils.arguments import add_classes, add_processes
from group_wsss.utils.files import write_json
from group_wsss.utils.progress import Progress


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Compare label PNGs with masks of the same names. '
        'mIoU counts pixels labelled 255 (unknown) as misses; two more '
        'figures leave them out or count them as background.')
    parser.add_argument('pred', help='folder of predicted index PNGs')
    parser.add_argument('masks', help='folder of mask index PNGs')
    add_classes(parser, 'those of manifest.json in PRED, else voc')
    parser.add_argument(
        '--list',
        help='text file with the image ids to compare, first word of each '
        'line (default: ids.txt of a dump, else all PNGs in PRED)')
    parser.add_argument('--out', help='write all figures to this JSON file')
    add_processes(parser)
    return parser.parse_args()


def without_nan(value: Any) -> Any:
    """JSON has no NaN: a figure that does not exist is null."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and value != value else value


def report(result: dict) -> str:
    """The printed table and figures."""
    rows = [(name, item['iou'], item['precision'], item['recall'],
             item['iou_known'], item['images'])
            for name, item in result['per_class'].items()]
    lines = [
        format_table(
            ('class', 'IoU', 'precision', 'recall', 'IoU known', 'images'),
            rows), '',
        format_table(('figure', 'percent'), [
            ('mIoU (unknown pixels are misses)', result['mIoU']),
            ('mIoU_known (unknown pixels left out)', result['mIoU_known']),
            ('mIoU_unknown_as_background',
             result['mIoU_unknown_as_background']),
            ('unknown share of the pixels', result['unknown_share']),
        ]), f'{result["images"]} images'
    ]
    if result['supervision'] is not None:
        used = (f'{SUPERVISION[x]} ({x})' for x in result['supervision'])
        lines.append(f'made from {", ".join(used)}')
    if result['ignored']:
        lines.append(result['ignored'])
    if any(item['iou'] != item['iou']
           for item in result['per_class'].values()):
        lines.append('classes without IoU (-) occur neither in predictions '
                     'nor in masks and are left out of the mean')
    if result['masks_without_prediction']:
        lines.append(f'{result["masks_without_prediction"]} masks have no '
                     'prediction; --list fixes the images to compare')
    return '\n'.join(lines)


def main() -> None:
    """Evaluate."""
    args = parse_args()
    result = evaluate_folder(
        args.pred,
        args.masks,
        classes=dump_classes(args.pred, args.classes),
        ids=read_id_list(args.list) if args.list else None,
        nproc=args.nproc,
        progress=Progress())
    manifest = Manifest.find(args.pred)
    result['supervision'] = manifest.supervision if manifest else None
    if args.out:
        write_json(args.out, without_nan(result), indent=2)
    print(report(result))


if __name__ == '__main__':
    cli.run(main)
