# Copyright (c) group_wsss contributors. All rights reserved.
"""Write the built-in toy set as a VOC-layout folder."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.utils.cli import run
from group_wsss.utils.quiet import quieten


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '-o', '--out', default='data/toy', help='folder to write')
    parser.add_argument('--num-train', type=int, default=480)
    parser.add_argument('--num-val', type=int, default=120)
    parser.add_argument(
        '--size', type=int, default=96, help='side of an image in pixels')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quieten()
    from group_wsss.datasets import generate_toy
    written = generate_toy(
        args.out,
        num_train=args.num_train,
        num_val=args.num_val,
        size=args.size,
        seed=args.seed,
        verbose=True)
    print(f'{args.out}: toy set {"written" if written else "already there"}')


if __name__ == '__main__':
    run(main)
