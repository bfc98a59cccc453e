# Copyright (c) group_wsss contributors. All rights reserved.
"""From tags to labels and a trained network, by the stages of a recipe."""
import argparse
import os
import os.path as osp
import re
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any, Dict, List

TOOLS = Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS.parent / 'projects'))
sys.path.insert(0, str(TOOLS / 'misc'))

from stage_facts import config_files, files_read
from stages import Stage, last_checkpoint, run_stages

from group_wsss.utils import cli
from group_wsss.utils.arguments import positive
from group_wsss.utils.config import read_config
from group_wsss.utils.data_flags import add_data_flags, data_variables
from group_wsss.utils.errors import InputError
from group_wsss.utils.home import spell

_PLACE = re.compile(r'\{(last:)?([^{}]*)\}')
_KEYS = {
    'name', 'title', 'tool', 'config', 'options', 'dump', 'env', 'leaves',
    'keep_scores', 'share', 'fast'
}
# script, and a file that it leaves
_TOOLS = {
    'train': ('train.py', 'last_checkpoint'),
    'refine': ('refine_labels.py', 'manifest.json'),
    'saliency': ('make_saliency.py', 'saliency.json'),
    'regions': ('make_regions.py', 'made_with.txt')
}
# those that read images and no config
_MAKERS = ('saliency', 'regions')
# variables of what judges a network, and changes no label
JUDGES = ('VAL_LIST', 'MASK_DIR')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(
        description='Train and refine as the stages of RECIPE say, see '
        'configs/recipes/. What is done is skipped, what was interrupted '
        'goes on, and what depends on something that changed is made again.')
    parser.add_argument('config', metavar='recipe', help='the recipe')
    parser.add_argument('--work-dir', help='a folder for each stage goes here')
    add_data_flags(parser, skip=('labels', ))
    parser.add_argument(
        '--seed', type=int, default=0, help='of all trainings (default: 0)')
    parser.add_argument(
        '--until', metavar='STAGE', help='the last stage to run')
    parser.add_argument(
        '--fast',
        action='store_true',
        help='a first look: trainings of a part of their iterations')
    parser.add_argument(
        '--gpus',
        type=positive,
        default=1,
        help='processes that train; without GPUs they use the CPU')
    parser.add_argument(
        '--nproc', type=positive, default=1, help='processes that refine')
    parser.add_argument(
        '--keep-scores',
        action='store_true',
        help='keep the score maps of labels that no later stage reads by '
        'them, as large as the images; thresholds can be changed with them')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the recipe, such as '
        'stages.1.options.train_cfg.max_iters=100')
    return parser.parse_args()


def dotted(options: dict, path: str = '') -> Dict[str, Any]:
    """Nested options by the keys that ``--cfg-options`` wants."""
    flat: Dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, dict):
            flat.update(dotted(value, f'{path}{key}.'))
        else:
            flat[f'{path}{key}'] = value
    return flat


def read_settings(path: str, options: dict, env: Dict[str, str]) -> Any:
    """The config of a stage as its command will read it."""
    before = dict(os.environ)
    os.environ.update(env)
    try:
        cfg = read_config(path, import_custom_modules=False)
    finally:
        os.environ.clear()
        os.environ.update(before)
    cfg.merge_from_dict(options)
    return dict(cfg.items())


def plan(cfg, args: argparse.Namespace) -> List[Stage]:
    """Commands of a recipe.

    Args:
        cfg (mmengine.Config): With ``stages``.
        args (argparse.Namespace): Of the command line.

    Returns:
        list[Stage]: In their order.

    Raises:
        InputError: The stage and the key at fault.
    """
    if not isinstance(cfg.get('stages'), list) or not cfg.stages:
        raise InputError(f'{args.config}: has no `stages`')
    if args.fast and not any(stage.get('fast') for stage in cfg.stages):
        raise InputError(f'{args.config}: no stage has `fast`, what --fast is '
                         'to do')
    work, here = Path(cfg.work_dir), osp.dirname(osp.abspath(args.config))
    made = [work / str(stage.get('name')) for stage in cfg.stages]
    done: List[str] = []
    plans = []
    for number, stage in enumerate(cfg.stages):
        where = f'{args.config}: stages.{number}'
        needs: List[str] = []

        def fill(text: str) -> str:
            """Put folders in the place of their stages."""

            def folder(match: re.Match) -> str:
                if match[0] == '{here}':
                    return here
                if match[2] not in done:
                    raise InputError(f'{where}: {match[0]} is no stage before '
                                     f'this one: {", ".join(done) or "none"}')
                needs.append(match[2])
                path = str(work / match[2])
                return f'{{last:{path}}}' if match[1] else path

            return _PLACE.sub(folder, str(text))

        extra = sorted(set(stage) - _KEYS)
        if extra:
            raise InputError(f'{where}: unknown key {extra[0]!r}')
        name, tool = str(stage.get('name', '')), stage.get('tool')
        if not re.fullmatch(r'\w[\w.-]*', name) or name in [*done, 'stages']:
            raise InputError(f'{where}.name: {name!r} is empty, taken, or no '
                             'name of a folder')
        if tool not in _TOOLS:
            raise InputError(f'{where}.tool: {tool!r} is none of '
                             f'{", ".join(_TOOLS)}')
        config = osp.join(here, str(stage.get('config', '')))
        if tool in _MAKERS:
            config = ''
        elif not osp.isfile(config):
            raise InputError(f'{where}.config: {config}: no such file')
        script, leaves = _TOOLS[tool]
        command = [
            sys.executable,
            str(TOOLS / script), config or cfg.image_dir
        ]
        if tool == 'train' and args.gpus > 1:
            command = [
                'bash',
                str(TOOLS / 'dist_train.sh'), config,
                str(args.gpus)
            ]
        reads: Dict[str, Any] = {}
        fast = dict(stage.get('fast') or {}) if args.fast else {}
        share = fast.pop('share', stage.get('share'))
        options = dotted(stage.get('options') or {})
        options.update(dotted(fast))
        options = {
            key: fill(value) if isinstance(value, str) else value
            for key, value in options.items()
        }
        if tool == 'train':
            command += ['--work-dir', str(work / name)]
            options = {'randomness.seed': args.seed, **options}
        elif tool in _MAKERS:
            command += ['--out', str(work / name)]
            command += [f'--{key}={fill(v)}' for key, v in options.items()]
            options = {}
        else:
            reads['dump'] = fill(stage.get('dump', ''))
            command += [
                reads['dump'],
                str(work / name), '--images', cfg.image_dir, '--nproc',
                str(args.nproc)
            ]
            if args.keep_scores or stage.get('keep_scores', True):
                command += ['--keep-scores']
        if tool != 'train' and cfg.get('image_list'):
            reads['image_list'] = cfg.image_list
            command += ['--image-list', cfg.image_list]
        if options:
            command += ['--cfg-options']
            command += [f'{key}={value}' for key, value in options.items()]
        # what changes with them is made again
        text = ''.join(
            Path(path).read_text('utf-8')
            for path in (config_files(config) if config else ()))
        env = {
            key: os.environ[key]
            for key in cfg.get('environment', ())
            if key in os.environ and (key not in JUDGES or key in text)
        }
        for key, value in (stage.get('env') or {}).items():
            env[key] = fill(value)
        if config:
            reads['config'] = read_settings(config, options, env)
        plans.append(
            Stage(
                name,
                stage.get('title', name),
                command,
                env,
                sorted(set(needs)),
                config=config,
                folder=work / name,
                outputs=[stage.get('leaves') or leaves],
                resume=tool == 'train',
                files=files_read(reads, made),
                share=share))
        done.append(name)
    return plans


def main() -> None:
    """Make labels."""
    args = parse_args()
    cfg = cli.load_config(args)
    with data_variables(args):
        plans = plan(cfg, args)
    if args.until is not None:
        names = [stage.name for stage in plans]
        if args.until not in names:
            raise InputError(f'--until {args.until}: the stages of '
                             f'{args.config} are {", ".join(names)}')
        del plans[names.index(args.until) + 1:]
    cli.prepare_work_dir(cfg.work_dir)
    records = run_stages(plans, cfg.work_dir)
    seconds = sum(record['seconds'] for record in records.values())
    print(f'\nall stages      {seconds / 60:.1f} minutes')
    folders = {stage.name: str(stage.folder) for stage in plans}
    for name, title in (('labels', 'label images'), ('segmentor', 'network')):
        if name in folders:
            print(f'{title:<15} {folders[name]}')
    step = cfg.get('next_step', '')
    if step and args.until is None:
        print(f'Next:\n  {spell(_PLACE.sub(partial(shown, folders), step))}')


def shown(folders: Dict[str, str], place: re.Match) -> str:
    """Give the folder of a stage, or its latest checkpoint, for a shell."""
    path = folders.get(place[2])
    if path is None:
        return place[0]
    return shlex.quote(last_checkpoint(path) if place[1] else path)


if __name__ == '__main__':
    cli.heed_preemption()
    os.environ.setdefault('PYTHONUNBUFFERED', '1')
    cli.run(
        main,
        again='type the same command again to go on; finished stages are '
        'skipped')
