# Copyright (c) group_wsss contributors. All rights reserved.
"""Turn masks of another tool into a dump of scores, restricted to tags."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.errors import InputError
from group_wsss.utils.progress import Progress

# names that a line lists
LISTED = 5
# reader, and letters for the manifest
FORMATS = {
    'coco': ('CocoSource', 'A'),
    'png': ('PngSource', 'A'),
    'results': ('ResultsSource', 'LA'),
    'label-studio': ('LabelStudioSource', 'M'),
    'cvat': ('CvatSource', 'M')
}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write a dump of label images and scores from masks that '
        'another tool or network has made. Masks of classes that are no tag '
        'of their image are left out. See docs/regions.md.')
    parser.add_argument(
        'source',
        help='the JSON of coco and label-studio, or the folder of the others')
    parser.add_argument(
        '--format',
        required=True,
        choices=list(FORMATS),
        help='instances JSON of COCO with scores; index PNGs; a JSON an '
        'image with names, scores and run lengths, as of SAM3; JSON of Label '
        'Studio with brush and polygons; "Segmentation mask 1.1" of CVAT, '
        'unpacked')
    parser.add_argument(
        '--image-list', required=True, help='images and tags, as in stage 1')
    parser.add_argument('--out', required=True, help='folder of the dump')
    parser.add_argument(
        '--classes',
        help='"voc" or a file with one class name a line (default: '
        'those of the image list)')
    parser.add_argument(
        '--rename',
        nargs='+',
        default=[],
        metavar='NAME=CLASS',
        help='foreign names that stand for classes of the tags')
    parser.add_argument(
        '--supervision',
        help='letters for the manifest: A masks of a foreign network, L '
        'asked by words, M drawn by people (default: A; LA for results, M '
        'for label-studio and cvat)')
    return parser.parse_args()


def main() -> None:
    """Import."""
    args = parse_args()
    from group_wsss.contrib import foreign
    from group_wsss.evaluation import class_names
    from group_wsss.structures import read_image_list
    from group_wsss.structures.manifest import SUPERVISION
    reader, letters = FORMATS[args.format]
    letters = letters if args.supervision is None else args.supervision
    if not set(letters) <= set(SUPERVISION):
        raise InputError(f'--supervision {letters}: must be letters of '
                         f'{"".join(SUPERVISION)}')
    rename = dict(word.partition('=')[::2] for word in args.rename)
    classes = class_names(args.classes) if args.classes else None
    images = read_image_list(
        args.image_list, classes, source=f'--classes {args.classes}')
    classes = classes or images.classes
    if classes is None:
        raise InputError(f'{args.image_list}: has no class names; give '
                         '--classes')
    extra = (classes, args.image_list) if args.format == 'png' else ()
    source = getattr(foreign, reader)(args.source, *extra)
    done = foreign.import_masks(source, images.records, classes, args.out,
                                rename, letters, Progress('images'))
    print(f'{done.images} label images with scores in {args.out}: '
          f'{done.taken} masks of tags, {done.untagged} of classes that are '
          'no tag of their image left out')
    if done.foreign:
        names = ', '.join(f'{name!r} ({count})'
                          for name, count in done.foreign.most_common(LISTED))
        more = ', ...' if len(done.foreign) > LISTED else ''
        print(f'{sum(done.foreign.values())} masks left out whose name is no '
              f'class: {names}{more} (--rename NAME=CLASS)')


if __name__ == '__main__':
    cli.run(main)
