# Copyright (c) group_wsss contributors. All rights reserved.
"""Write regions of images, without classes, for the refiner RegionVote."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.arguments import add_images, add_processes
from group_wsss.utils.progress import Progress
from group_wsss.utils.quiet import quieten


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write superpixels, or the masks that Segment Anything '
        'finds, of images. Files that are there already are kept, so an '
        'interrupted command goes on. Superpixels are no extra data, Segment '
        'Anything was trained on masks: see docs/regions.md.')
    add_images(parser, 'folder of the regions')
    parser.add_argument(
        '--backend',
        required=True,
        choices=['slic', 'felzenszwalb', 'sam', 'sam2', 'sam3'],
        help='superpixels of scikit-image, or a network of transformers')
    parser.add_argument(
        '--size',
        type=int,
        default=400,
        help='pixels of a superpixel, roughly (default: 400)')
    parser.add_argument(
        '--model',
        help='folder of a sam, sam2 or sam3 as transformers saves it, with '
        'model.safetensors')
    parser.add_argument(
        '--points',
        type=int,
        default=32,
        help='points a side that a sam is asked at (default: 32)')
    add_processes(parser)
    args = parser.parse_args()
    if args.backend.startswith('sam') != (args.model is not None):
        parser.error('--model goes with sam, sam2 and sam3, and they with it')
    return args


def main() -> None:
    """Make them."""
    args = parse_args()
    quieten()
    from group_wsss.apis.images import chosen_images
    from group_wsss.contrib.regions import (SUPERPIXELS, SamRegions,
                                            Superpixels, make_regions)
    if args.backend in SUPERPIXELS:
        maker = Superpixels(args.backend, args.size)
    else:
        maker = SamRegions(args.backend, args.model, args.points)
    images = chosen_images(args.images, args.out, args.image_list, args.suffix)
    made = make_regions(images, maker, args.out, args.nproc,
                        Progress('regions'))
    print(f'regions of {len(images)} images in {args.out}, {made} of them '
          'made now')


if __name__ == '__main__':
    cli.run(main)
