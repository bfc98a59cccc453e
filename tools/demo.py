# Copyright (c) group_wsss contributors. All rights reserved.
"""Label images with a trained stage-1 network."""
import argparse
import sys
from pathlib import Path
from typing import List, Optional, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.arguments import add_config_options
from group_wsss.utils.errors import InputError
from group_wsss.utils.quiet import quieten


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('image', help='an image, a folder or a glob')
    parser.add_argument(
        'config',
        nargs='?',
        help='config of stage 1 (default: the packaged model, 20 classes of '
        'VOC)')
    parser.add_argument('checkpoint', nargs='?', help='its trained weights')
    parser.add_argument(
        '--out',
        default='work_dirs/demo',
        help='folder for labels and overlays (default: work_dirs/demo)')
    parser.add_argument(
        '--tags',
        help='what is in the images, names or ids: person,car '
        '(default: predicted)')
    parser.add_argument(
        '--tag-threshold',
        type=float,
        default=0.5,
        help='score from which a class is predicted (default: 0.5)')
    parser.add_argument(
        '--reference',
        metavar='FOLDER_OR_LIST',
        help='images to make groups with: a folder, or an image list '
        'with tags (default: every image alone)')
    parser.add_argument(
        '--reference-root',
        metavar='FOLDER',
        help='where the images of that list are (default: beside it)')
    parser.add_argument('--group-size', type=int, help='images in a group')
    parser.add_argument('--seed', type=int, help='seed of the groups')
    parser.add_argument(
        '--refine',
        metavar='CONFIG',
        help='config with `refiners` and `labeler`, as in configs/refine/')
    parser.add_argument(
        '--bg-threshold', help='a number, or "otsu" (default: the config\'s)')
    parser.add_argument(
        '--classes',
        help='"voc", a file with one class name a line, or a dump (default: '
        'the names in the checkpoint)')
    parser.add_argument(
        '--tta', action='store_true', help='scales and flips of the config')
    parser.add_argument(
        '--tile',
        type=int,
        metavar='PIXELS',
        help='make class maps of larger images of overlapping squares of this '
        'side, to see small things; give --tags too (default: of the whole '
        'image)')
    parser.add_argument(
        '--keep-scores', action='store_true', help='keep the score maps')
    parser.add_argument('--device', help='default: a GPU if there is one')
    add_config_options(parser)
    return parser.parse_args()


def split_tags(text: Optional[str], classes: Sequence[str]) -> Optional[list]:
    """``'person,3'`` as names and ids."""
    if text is None:
        return None
    tags: List = [part.strip() for part in text.split(',') if part.strip()]
    return [
        int(tag) if tag.isdigit() and tag not in classes else tag
        for tag in tags
    ]


def line_of(result: dict) -> str:
    """Describe what was found in an image."""
    tags = ', '.join(f'{name} {result["scores"][name]:.2f}'
                     for name in result['tags'])
    label = result['label']
    shares = (f'{100 * (label > 0).mean():.0f} % labelled' if
              (label != 255).all() else
              f'{100 * ((label > 0) & (label < 255)).mean():.0f} % labelled, '
              f'{100 * (label == 255).mean():.0f} % unknown')
    return f'{result["img_id"]}: {tags or "no tag"}; {shares}'


def main() -> None:
    """Label."""
    args = parse_args()
    quieten()
    if (args.config is None) != (args.checkpoint is None):
        raise InputError(f'{args.config}: give its checkpoint too')
    cfg = None
    if args.config is not None:
        cfg = cli.load_config(args)
        cli.check_checkpoint(args.checkpoint)
    elif args.cfg_options:
        raise InputError('--cfg-options: change a config, which is not given')
    threshold = args.bg_threshold
    if threshold is not None and threshold.replace('.', '', 1).isdigit():
        threshold = float(threshold)
    refine = {}
    if args.refine is not None:
        steps = cli.load_config(
            argparse.Namespace(config=args.refine, cfg_options=None))
        refine = dict(
            refiners=steps.get('refiners', None) or [],
            labeler=steps.get('labeler', None))
    from group_wsss.apis import GroupCAMInferencer
    inferencer = GroupCAMInferencer(
        cfg,
        args.checkpoint,
        args.device,
        classes=args.classes,
        reference=args.reference,
        reference_root=args.reference_root,
        group_size=args.group_size,
        seed=args.seed,
        bg_threshold=threshold,
        tag_threshold=args.tag_threshold,
        tta=args.tta,
        tile=args.tile,
        **refine)
    count = 0
    for result in inferencer.stream(
            args.image,
            tags=split_tags(args.tags, inferencer.classes),
            return_vis=False,
            out_dir=args.out,
            keep_scores=args.keep_scores):
        print(line_of(result))
        count += 1
    print(f'\nWritten to {args.out}:\n'
          f'  labels   <id>.png, ids.txt, manifest.json ({count} images)\n'
          f'  overlays overlays/<id>.jpg')


if __name__ == '__main__':
    cli.run(main)
