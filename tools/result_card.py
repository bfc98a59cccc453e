# Copyright (c) group_wsss contributors. All rights reserved.
"""A result card of runs: one JSON and one page that can be sent."""
import argparse
import os.path as osp
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Tuple

TOOLS = Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS.parent / 'projects'))
sys.path.insert(0, str(TOOLS / 'misc'))

from stage_facts import commit_of

from group_wsss.utils import cli
from group_wsss.utils.arguments import add_classes, add_processes
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write, write_json
from group_wsss.utils.progress import Progress


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Collect what runs gave and what they were made of. Runs '
        'are named, or made by a recipe with groups and with K = 1. Masks '
        'judge finished labels alone. docs/result_card.md describes it.',
        epilog='What stands behind -- goes to make_labels.py, with --recipe.')
    parser.add_argument(
        'runs',
        nargs='*',
        metavar='[NAME=]RUN',
        help='work directory of a recipe or of stage 1, a dump, or the JSON '
        'of eval_labels.py or analyze_labels.py for a segmentation; runs of '
        'one NAME are seeds')
    parser.add_argument('--masks', help='folder of mask PNGs')
    parser.add_argument(
        '--judge',
        metavar='LIST',
        help='text file of the images to judge labels on (default: all)')
    add_classes(parser, 'those of the manifests')
    parser.add_argument(
        '--out',
        default='result_card',
        help='folder of card.json and card.html (default: %(default)s)')
    add_processes(parser)
    parser.add_argument(
        '--recipe', help='run it first, up to what is done, then judge it')
    parser.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        default=[0],
        help='of the recipe (default: 0)')
    parser.add_argument(
        '--work-dir',
        default='work_dirs/result_card',
        help='where the recipe runs (default: %(default)s)')
    words = sys.argv[1:]
    cut = words.index('--') if '--' in words else len(words)
    args = parser.parse_args(words[:cut])
    args.more = words[cut + 1:]
    if args.more and not args.recipe:
        parser.error(f'{args.more[0]}: without --recipe nothing is run')
    if not args.runs and not args.recipe:
        parser.error('name a run, or --recipe')
    return args


def run_recipe(args: argparse.Namespace) -> List[str]:
    """Run a recipe, and its classifier with groups of one; the runs."""
    from group_wsss.utils.config import read_config
    stages = read_config(
        args.recipe, import_custom_modules=False).get('stages', [])
    names = [stage.get('name') for stage in stages]
    if 'classifier' not in names:
        raise InputError(f'{args.recipe}: has no stage \'classifier\', '
                         'so there is no K = 1 of it')
    key = f'stages.{names.index("classifier")}.options'
    plain = [
        '--until', 'classifier', '--cfg-options', f'{key}.group_size=1',
        f'{key}.test_group_size=1'
    ]
    runs = []
    for seed in args.seeds:
        for name, more in (('K=1', plain), ('groups', [])):
            folder = osp.join(args.work_dir, f'{name}_seed{seed}')
            print(f'\n{name}, seed {seed}', flush=True)
            code = subprocess.run([
                sys.executable,
                str(TOOLS / 'make_labels.py'), args.recipe, '--work-dir',
                folder, '--seed',
                str(seed), *args.more, *more
            ]).returncode
            if code:  # the command has said why
                raise SystemExit(code)
            runs.append(f'{name}={folder}')
    return runs


def told(args: argparse.Namespace) -> Dict[str, str]:
    """Recipe and options of what was run, without the places of data."""
    if not args.recipe:
        return {}
    options: List[str] = []
    inside = False
    for word in args.more:
        inside = word == '--cfg-options' or (inside and word[:2] != '--')
        if inside and word[:2] != '--':
            options.append(word)
    return dict(
        recipe=osp.basename(args.recipe), options=' '.join(options) or 'none')


def split(spec: str) -> Tuple[str, str]:
    """Name ('' for none) and path of a run; a name may hold ``=``."""
    if '=' not in spec or osp.exists(spec):
        return '', spec
    # K=1=work_dirs/k1: the shortest name that leaves a path
    parts = spec.split('=')
    for i in range(1, len(parts)):
        path = '='.join(parts[i:])
        if osp.exists(path):
            return '='.join(parts[:i]), path
    return parts[0], '='.join(parts[1:])


def main() -> None:
    """Write the card."""
    args = parse_args()
    specs = [*args.runs, *(run_recipe(args) if args.recipe else ())]
    from group_wsss.contrib.card import card_page, find_run, make_card
    from group_wsss.version import __version__
    runs, evaluations = [], []
    for name, path in map(split, specs):
        if path.endswith('.json'):
            name = name or osp.splitext(osp.basename(path))[0]
            evaluations.append((name, path))
        else:
            runs.append(find_run(path, name or None))
    card = make_card(
        runs,
        evaluations,
        args.masks,
        args.judge,
        args.classes,
        args.nproc,
        Progress(),
        written_by={
            'group_wsss': __version__,
            'commit': commit_of(TOOLS.parent),
            **told(args)
        })
    write_json(osp.join(args.out, 'card.json'), card, allow_nan=False)
    atomic_write(osp.join(args.out, 'card.html'), card_page(card))
    for row in card['rows']:
        miou = row['mean']['mIoU']
        print(f'{row["run"]:<12} {row["step"]:<14} {row["kind"]:<13} mIoU ' +
              ('not measured' if miou is None else f'{miou:.2f}'))
    print(f'card: {osp.join(args.out, "card.html")}')


if __name__ == '__main__':
    cli.run(
        main,
        again='type the same command again to go on; finished stages are '
        'skipped')
