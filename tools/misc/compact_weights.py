# Copyright (c) group_wsss contributors. All rights reserved.
"""Write the weights of a checkpoint in float16, without its backbone.

For networks on a frozen backbone whose weights a package brings.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.errors import InputError


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help='of tools/train.py')
    parser.add_argument('out', help='a .safetensors file')
    parser.add_argument(
        '--unused',
        nargs='*',
        default=['neck.coattention.whiten.covariance'],
        metavar='NAME',
        help='weights that no prediction needs (default: the covariance of '
        'whitened keys)')
    return parser.parse_args()


def main() -> None:
    """Read and write."""
    args = parse_args()
    cli.check_checkpoint(args.checkpoint)
    from group_wsss.utils.checkpoint import load_from_file
    from group_wsss.utils.compact import SUFFIX, write_compact
    from group_wsss.utils.weights import checkpoint_classes, checkpoint_weights
    if not args.out.endswith(SUFFIX):
        raise InputError(f'{args.out}: must end in {SUFFIX}')
    checkpoint = load_from_file(args.checkpoint, map_location='cpu')
    classes = checkpoint_classes(checkpoint)
    if not classes:
        raise InputError(f'{args.checkpoint}: holds no class names')
    write_compact(
        args.out, checkpoint_weights(checkpoint), classes, unused=args.unused)
    print(f'{args.out}: {Path(args.out).stat().st_size} bytes')


if __name__ == '__main__':
    cli.run(main)
