# Copyright (c) group_wsss contributors. All rights reserved.
"""Write what classes look like, one feature an image, for Judge."""
import argparse
import os.path as osp
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.errors import InputError
from group_wsss.utils.progress import Progress
from group_wsss.utils.quiet import quieten


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write the mean feature of the confident pixels of each '
        'class of each image, by the backbone of stage 1. No mask is read.')
    parser.add_argument('config', help='config of stage 1')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('dump', help='a dump with scores')
    parser.add_argument('--images', required=True, help='folder of the images')
    parser.add_argument('--out', required=True, help='file of npz')
    parser.add_argument(
        '--confident',
        type=float,
        default=0.7,
        help='share of the largest score of a class from which on a pixel '
        'counts (default: 0.7)')
    return parser.parse_args()


def main() -> None:
    """Make them."""
    args = parse_args()
    quieten()
    if not 0 < args.confident <= 1:
        raise InputError(f'--confident {args.confident}: must be in (0, 1]')
    import numpy as np

    from group_wsss.datasets import load_image
    from group_wsss.pseudo_labels.features import BackboneFeatures
    from group_wsss.pseudo_labels.prototypes import Prototypes
    from group_wsss.structures import Dump
    dump = Dump.open(args.dump)
    if dump.scores is None:
        raise InputError(f'{args.dump}: holds no scores')
    paths = dump.image_paths(args.images)
    backbone = BackboneFeatures(args.config, args.checkpoint, keys=True)
    found = []
    for img_id in Progress('prototypes').over(dump.ids, len(dump.ids)):
        features = backbone(load_image(osp.join(args.images, paths[img_id])))
        found.append(
            Prototypes.of(dump.read_scores(img_id), features, args.confident))
    prototypes = Prototypes(*map(np.concatenate, zip(*found)))
    if not len(prototypes.class_ids):
        raise InputError(f'{args.dump}: no class has a positive score')
    prototypes.save(args.out)
    print(f'{len(prototypes.class_ids)} prototypes of '
          f'{len(set(prototypes.class_ids.tolist()))} classes in {args.out}')


if __name__ == '__main__':
    cli.run(main)
