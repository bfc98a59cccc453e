# Copyright (c) group_wsss contributors. All rights reserved.
"""Write a dump of labels in the formats of other tools."""
import argparse
import os.path as osp
import sys
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.arguments import add_classes, add_processes, positive
from group_wsss.utils.errors import InputError
from group_wsss.utils.progress import Progress
from group_wsss.utils.results import check_outside

FORMATS = ('coco-instances', 'coco-semantic', 'yolo-seg', 'label-studio',
           'cvat-masks', 'npz')
# option: its formats and its default
OPTIONS = dict(
    connectivity=(('coco-instances', 'yolo-seg'), 8),
    min_area=(('coco-instances', 'yolo-seg'), 1),
    unknown=(('coco-instances', 'coco-semantic'), 'exclude'),
    numeric_ids=(('coco-instances', 'coco-semantic'), False),
    suffix=(('coco-instances', 'coco-semantic', 'yolo-seg', 'label-studio'),
            None),
    images=(('coco-instances', 'coco-semantic', 'yolo-seg', 'label-studio'),
            None),
    prefix=(('label-studio', ), ''),
    score_size=(('npz', ), 'map'),
    score_dtype=(('npz', ), 'float16'))


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Export a folder of label PNGs. docs/labels_out.md '
        'describes the formats.')
    parser.add_argument('dump', help='finished dump, or folder of label PNGs')
    parser.add_argument(
        'out',
        help='JSON file (coco-*, label-studio), or a new folder (yolo-seg, '
        'cvat-masks, npz)')
    parser.add_argument('--format', choices=FORMATS, required=True)
    add_classes(parser, 'those of manifest.json')
    parser.add_argument(
        '--list',
        help='image list (.txt, .csv, .json) of the images to export; its '
        'paths name their files, its class ids are the tags that --unknown '
        'ignore asks for (default: ids.txt of DUMP, else all PNGs)')
    add_processes(parser, '--jobs')
    regions = parser.add_argument_group('coco-instances and yolo-seg')
    regions.add_argument(
        '--connectivity',
        type=int,
        choices=(4, 8),
        help='pixels of one component share an edge (4) or at least a corner '
        '(8, the default)')
    regions.add_argument(
        '--min-area',
        type=positive,
        help='leave out components of fewer pixels (default: 1, none)')
    coco = parser.add_argument_group('coco-*')
    coco.add_argument(
        '--unknown',
        choices=('exclude', 'ignore'),
        help='pixels of value 255: no annotation (exclude, the default), or '
        'one with iscrowd=1 for each class that may be there (ignore)')
    coco.add_argument(
        '--numeric-ids',
        action='store_true',
        default=None,
        help="image_id is the number that ends the image's name, as in "
        "COCO's own files (default: 1, 2, ...)")
    names = parser.add_argument_group('coco-*, yolo-seg, label-studio')
    names.add_argument(
        '--images',
        help='folder of the images: all must be there; those whose path '
        'neither DUMP nor --list names are looked up by their id; '
        'OUT/images of yolo-seg links to it')
    names.add_argument(
        '--suffix',
        help='ending of the ids whose path neither DUMP nor --list names')
    names.add_argument(
        '--prefix',
        help='label-studio: what stands before the path of an image in its '
        'address, such as "/data/local-files/?d=photos/" (default: nothing)')
    scores = parser.add_argument_group('npz')
    scores.add_argument(
        '--score-size',
        choices=('map', 'image'),
        help='as the scores were kept (map, the default) or resized to the '
        'image (image)')
    scores.add_argument(
        '--score-dtype',
        choices=('float16', 'uint8'),
        help='default: float16; uint8 is 0..255 for [0, 1]')
    args = parser.parse_args()
    for name, (formats, default) in OPTIONS.items():
        if getattr(args, name) is None:
            setattr(args, name, default)
        elif args.format not in formats:
            parser.error(f'--{name.replace("_", "-")} is for '
                         f'{", ".join(formats)}, not for {args.format}')
    return args


def check_place(args: argparse.Namespace) -> None:
    """A dump holds labels alone: nothing is written into it."""
    check_outside(args.out, args.dump)
    if args.format.startswith(('coco', 'label')) and osp.isdir(args.out):
        raise InputError(f'{args.out}: is a folder; {args.format} is one '
                         'JSON file')


def open_labels(args: argparse.Namespace) -> Any:
    """Find out what there is to export."""
    from group_wsss.evaluation import open_dump
    dump = open_dump(
        args.dump, args.classes, args.list, use_scores=args.format == 'npz')
    if args.classes is None and not dump.manifest:
        raise InputError(f'{args.dump}: has no manifest.json, so it is no '
                         'finished dump; if it is a folder of other label '
                         'images, name their classes by --classes')
    if args.format == 'npz' and dump.scores is None:
        raise InputError(f'{args.dump}: holds no scores; dump with '
                         'tools/test.py --keep-scores')
    return dump


def exporter(args: argparse.Namespace, source: Any) -> Callable[..., Dict]:
    """The function that writes the format, with its options."""
    from group_wsss.contrib import exporters
    files = dict(image_dir=args.images, suffix=args.suffix)
    coco = dict(unknown=args.unknown, numeric_ids=args.numeric_ids, **files)
    regions = dict(connectivity=args.connectivity, min_area=args.min_area)
    if args.format == 'coco-instances':
        return partial(exporters.export_coco_instances, **regions, **coco)
    if args.format == 'coco-semantic':
        return partial(exporters.export_coco_semantic, **coco)
    if args.format == 'yolo-seg':
        return partial(exporters.export_yolo_seg, **files, **regions)
    if args.format == 'label-studio':
        return partial(
            exporters.export_label_studio, prefix=args.prefix, **files)
    if args.format == 'cvat-masks':
        return exporters.export_cvat_masks
    scores = dict(size=args.score_size, dtype=args.score_dtype)
    print(
        exporters.estimate_scores(source, args.out, **scores),
        file=sys.stderr,
        flush=True)
    return partial(exporters.export_scores, **scores)


def main() -> None:
    """Export."""
    args = parse_args()
    check_place(args)
    source = open_labels(args)
    export = exporter(args, source)
    done = export(source, args.out, jobs=args.jobs, progress=Progress())
    counts = ', '.join(f'{count} {name.replace("_", " ")}'
                       for name, count in done.items())
    print(f'{osp.normpath(args.out)}: {counts}')


if __name__ == '__main__':
    cli.run(main, again='type the same command again to start anew')
