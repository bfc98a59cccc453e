# Copyright (c) group_wsss contributors. All rights reserved.
"""Kill the tools at random moments, start them again, compare the results.

Every road is a command: dataset conversion, stage 1 (training, validation,
accumulation, dump), a dump by tools/test.py, refinement, stage 2, a whole
recipe. It is run once undisturbed. Then its process group is killed by
SIGKILL at random moments, the work folder is inspected after every kill, and
the command is started again (with --resume where a user types it) until it
completes. At the end all files have to be those of the undisturbed run: label
images and score maps byte by byte, checkpoints tensor by tensor.
"""
import argparse
import json
import os
import os.path as osp
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import AbstractSet, Any, Dict, Iterator, List, Optional, Set, Tuple

import numpy as np
import torch
from PIL import Image

ROOT = osp.abspath(osp.join(osp.dirname(__file__), '..', '..'))
sys.path.insert(0, osp.join(ROOT, 'projects'))

from group_wsss.datasets import COCO_CLASSES, generate_toy
from group_wsss.utils import cli
from group_wsss.utils.checkpoint import load_from_file
from group_wsss.utils.config import walk
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write, make_folder

STAGE1 = '''
_base_ = '{root}/configs/group_wsss/toy.py'
labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold=0.4)
train_dataloader = dict(
    batch_size=4, num_workers=2, persistent_workers=True,
    sampler=dict(type='DefaultSampler'))
test_dataloader = dict(dataset=dict(group_size=2))
val_dataloader = {{{{_base_.test_dataloader}}}}
val_evaluator = dict(type='AveragePrecision')
val_cfg = dict()
train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=3, val_interval=1)
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=1e-6, end=3,
         convert_to_iter_based=True)
]
default_hooks = dict(
    logger=dict(interval=1, log_metric_by_epoch=True),
    checkpoint=dict(by_epoch=True, interval=1, max_keep_ckpts=1),
    accumulation=dict(
        type='group_wsss.AttentionAccumulationHook', labeler=labeler),
    pseudo_labels=dict(labeler=labeler, keep_scores=True))
log_processor = dict(by_epoch=True)
'''
STAGE2 = '''
_base_ = '{root}/configs/deeplabv3/deeplabv3_tiny_toy.py'
train_dataloader = dict(batch_size=4, num_workers=2, persistent_workers=True)
train_cfg = dict(max_iters=16, val_interval=8)
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-5, power=0.9, end=16, by_epoch=False)
]
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(interval=3, max_keep_ckpts=1, save_best='mIoU'))
'''
RECIPE = '''
image_dir = '{src}/JPEGImages'
stages = [
    dict(name='train', tool='train', config='stage1.py',
         options=dict(train_cfg=dict(max_epochs=1))),
    dict(name='refine', tool='refine', config='pixel_adaptive.py',
         dump='{{train}}/pseudo_labels')
]
'''
# when a phase begins and ends in the log; None: with the first file in the
# work folder, or with the process
_MAP = r'Epoch\(val\) .*mAP'
PHASES = {
    'start': ('', ''),
    'conversion': (None, ''),
    'training': (r'Epoch\(train\)', r'Saving checkpoint at 3 epochs'),
    'validation': (r'Saving checkpoint at', _MAP),
    'accumulation': (r'Epoch\(val\) \[3\].*mAP', r'accumulated maps of'),
    'dump': (r'writing pseudo labels|Epoch\(test\)', ''),
    'refinement': (None, ''),
    'stage 2': (r'Iter\(train\)', r'Saving checkpoint at 16 iter'),
    'stage 2 validation': (r'Saving checkpoint at (9|16) iter|'
                           r'Iter\(val\)', r'Iter\(val\) .*mIoU'),
    'recipe': (r'\[1/2\]', ''),
}  # yapf: disable


@dataclass
class Road:
    """A command and where to kill it."""
    name: str
    words: List[str]  # tool and arguments; {out} is the work folder
    kills: Dict[str, int]  # number by phase, in the order of the phases
    resume: bool = False  # whether a user adds --resume
    env: Dict[str, str] = field(default_factory=dict)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', default='work_dirs/interruptions')
    parser.add_argument('--out', help='JSON file (default: in the work dir)')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    parser.add_argument(
        '--rounds', type=int, default=1, help='times the table of kills')
    parser.add_argument(
        '--only', nargs='+', metavar='ROAD', help='these roads alone')
    parser.add_argument(
        '--preload',
        action='store_true',
        help='fork from a process that has imported the libraries: spares '
        'seconds at every start')
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error('--rounds must be positive')
    return args


# ---- what the roads need ----------------------------------------------
def write_sources(work: str) -> str:
    """Toy set, folders by class, COCO annotations and configs."""
    src = osp.join(work, 'source')
    toy = osp.join(src, 'toy')
    generate_toy(toy, num_train=12, num_val=4, size=64)
    generate_toy(osp.join(src, 'many'), num_train=240, num_val=8, size=64)
    photos = osp.join(src, 'many', 'JPEGImages')
    names = sorted(name for name in os.listdir(photos))
    images, annotations = [], []
    rng = np.random.default_rng(0)
    for number, name in enumerate(names):
        for kind in {number % 5, number % 3}:
            folder = osp.join(src, 'folders', f'class{kind}')
            make_folder(folder)
            shutil.copy(osp.join(photos, name), folder)
        images.append(dict(id=number, file_name=name, height=64, width=64))
        for _ in range(6):
            corners = rng.uniform(2, 62, 8).round(1).tolist()
            annotations.append(
                dict(
                    id=len(annotations),
                    image_id=number,
                    category_id=int(rng.integers(1, 81)),
                    iscrowd=0,
                    area=1.0,
                    segmentation=[corners]))
    content = dict(
        images=images,
        annotations=annotations,
        categories=[
            dict(id=i + 1, name=name) for i, name in enumerate(COCO_CLASSES)
        ])
    atomic_write(osp.join(src, 'coco.json'), json.dumps(content).encode())
    texts = dict(stage1=STAGE1, stage2=STAGE2, recipe=RECIPE)
    for name, text in texts.items():
        text = text.format(root=ROOT, src=toy)
        atomic_write(osp.join(src, f'{name}.py'), text.encode())
    shutil.copy(osp.join(ROOT, 'configs', 'refine', 'pixel_adaptive.py'), src)
    return src


def make_roads(work: str, src: str) -> List[Road]:
    """All commands."""
    first = osp.join(work, 'reference', 'stage1')
    env = dict(
        TOY_ROOT=osp.join(src, 'toy'),
        PSEUDO_DIR=osp.join(first, 'pseudo_labels'))
    return [
        Road(name, [
            word.replace('{src}', src).replace('{first}', first)
            for word in words.split()
        ], kills, *more)
        for name, words, kills, *more in (
            ('toy', 'dataset_converters/toy.py -o {out} --num-train 300 '
             '--num-val 60 --size 64', dict(conversion=4)),
            ('folders', 'dataset_converters/from_folders.py {src}/folders '
             '-o {out}/list.json', dict(start=2)),
            ('coco', 'dataset_converters/coco.py --root {out} --json '
             '{src}/coco.json --images {src}/many/JPEGImages --split train',
             dict(conversion=4)),
            ('stage1', 'train.py {src}/stage1.py --work-dir {out}',
             dict(start=1, training=8, validation=6, accumulation=5, dump=3),
             True, env),
            ('dump', 'test.py {src}/stage1.py {first}/epoch_3.pth '
             '--work-dir {out}', dict(dump=4), False, env),
            ('refine', 'refine_labels.py {src}/pixel_adaptive.py '
             '{first}/pseudo_labels {out} --images {src}/toy/JPEGImages '
             '--keep-scores', dict(refinement=4)),
            ('stage2', 'train.py {src}/stage2.py --work-dir {out}',
             {'stage 2': 5, 'stage 2 validation': 3}, True, env),
            ('recipe', 'make_labels.py {src}/recipe.py --work-dir {out}',
             dict(recipe=3), False, env),
        )
    ]  # yapf: disable


# ---- processes ---------------------------------------------------------
class Process:
    """A tool in a process group of its own, with its output in a file.

    With ``preload`` this process is forked; else Python starts anew.
    """

    def __init__(self, words: List[str], env: Dict[str, str], log: str,
                 preload: bool) -> None:
        self.started = time.perf_counter()
        self.log = log
        self.code: Optional[int] = None
        tool = osp.join(ROOT, 'tools', words[0])
        env = {'OMP_NUM_THREADS': '1', 'PYTHONUNBUFFERED': '1', **env}
        with open(log, 'wb') as file:
            if preload:
                self.pid = os.fork()
                if self.pid == 0:
                    _become(tool, words, env, file.fileno())
            else:
                self.pid = subprocess.Popen([sys.executable, tool, *words[1:]],
                                            env=dict(os.environ, **env),
                                            stdout=file,
                                            stderr=subprocess.STDOUT,
                                            start_new_session=True).pid

    def running(self) -> bool:
        """Whether it has not ended; ``code`` is set when it has."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                try:  # a forked tool leaves its loader workers
                    os.killpg(self.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        return self.code is None

    def kill(self) -> None:
        """SIGKILL for the process, its children and theirs."""
        os.killpg(self.pid, signal.SIGKILL)
        while self.running():
            time.sleep(0.002)
        # the group is gone when nobody is left to signal
        for _ in range(1000):
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            time.sleep(0.005)

    def seconds(self) -> float:
        """Since its start."""
        return time.perf_counter() - self.started

    def text(self) -> str:
        """What it has printed."""
        with open(self.log, encoding='utf-8', errors='replace') as file:
            return file.read()

    def check(self, road: Road) -> None:
        """Raise an error if it failed by itself."""
        if self.code:
            raise InputError(f'{road.name}: status {self.code}:\n' +
                             self.text()[-3000:])


def _become(tool: str, words: List[str], env: Dict[str, str],
            output: int) -> None:
    """In the forked process: be that tool, and never come back."""
    status = 1
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.update(env)
        sys.argv = [tool, *words[1:]]
        torch.set_num_threads(1)
        runpy.run_path(tool, run_name='__main__')
        status = 0
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    except BaseException as error:
        sys.stderr.write(f'{type(error).__name__}: {error}\n')
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def preload() -> None:
    """Import what the tools import, once."""
    import mmengine.runner  # noqa: F401
    import mmpretrain.models  # noqa: F401
    import mmseg.models  # noqa: F401

    import group_wsss.engine.refine  # noqa: F401
    torch.set_num_threads(1)


# ---- files -------------------------------------------------------------
_LOGS = re.compile(r'^\d{8}_\d{6}$')


def files_of(folder: str, hidden: bool = False) -> Iterator[str]:
    """Relative paths, in order; hidden files and folders if asked for."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            x for x in folders if hidden or not x.startswith('.'))
        for name in sorted(names):
            if hidden or not name.startswith('.'):
                yield osp.relpath(osp.join(root, name), folder)


def check_file(path: str) -> None:
    """Raise whatever a reader raises if a file is not whole."""
    suffix = osp.splitext(path)[1]
    if suffix in ('.png', '.jpg'):
        with Image.open(path) as image:
            image.load()
    elif suffix == '.json':
        with open(path, encoding='utf-8') as file:
            text = file.read()
        # mmengine's logs hold an object a line
        owner = osp.basename(osp.dirname(path))
        lines = _LOGS.match(owner) or owner == 'vis_data'
        for part in text.splitlines() if lines else [text]:
            json.loads(part)
    elif suffix == '.npz':
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                arrays[name]
    elif suffix == '.pth':
        load_from_file(path)
    elif suffix == '.txt':
        with open(path, encoding='utf-8') as file:
            text = file.read()
        assert not text or text.endswith('\n'), 'its last line is cut'


def inspect(folder: str) -> Tuple[Dict[str, int], List[str]]:
    """Count the files that a killed process has left, and what is wrong."""
    counts: Counter = Counter()
    wrong = []
    for name in files_of(folder):
        path = osp.join(folder, name)
        try:
            check_file(path)
        except Exception as error:
            wrong.append(f'{name}: {type(error).__name__}: {error}')
        counts[osp.splitext(name)[1] or osp.basename(name)] += 1
        if osp.basename(name) == 'last_checkpoint':
            with open(path) as file:
                named = file.read().strip()
            if not osp.isfile(named):
                wrong.append(f'{name}: names {named!r}, which is not there')
        if osp.basename(name) == 'manifest.json':
            # it says that the dump is complete
            dump = osp.dirname(path)
            with open(osp.join(dump, 'ids.txt')) as file:
                wrong += [
                    f'{dump}: a manifest, but no {x}.png'
                    for x in file.read().split()
                    if not osp.isfile(osp.join(dump, f'{x}.png'))
                ]
    return dict(sorted(counts.items())), wrong


def compare(one: str, two: str) -> List[str]:
    """Files of two finished runs that differ."""
    names: List[Set[str]] = []
    for folder in (one, two):
        names.append({
            name
            for name in files_of(folder)
            if not any(_LOGS.match(part) for part in name.split(os.sep))
            and not name.startswith('stages')
        })
    wrong = [f'{name}: in one of them alone' for name in names[0] ^ names[1]]
    for name in sorted(names[0] & names[1]):
        left, right = (_content(osp.join(x, name)) for x in (one, two))
        if left != right:
            keys = [key for key in left if left[key] != right.get(key)]
            wrong.append(f'{name}: differs in {", ".join(keys[:5])}')
    return wrong


def _content(path: str) -> Dict[str, Any]:
    """What must be equal: the bytes, or the parts that know no time."""
    if path.endswith('.pth'):
        checkpoint = load_from_file(path)
        parts = dict(_leaves(checkpoint.get('state_dict', {}), 'weights'))
        for key in ('optimizer', 'param_schedulers', 'random_state'):
            parts.update(_leaves(checkpoint.get(key, {}), key))
        for key in ('epoch', 'iter', 'seed'):
            parts[key] = checkpoint['meta'].get(key)
        return parts
    with open(path, 'rb') as file:
        data = file.read()
    if osp.basename(path) == 'last_checkpoint':
        return dict(name=osp.basename(data.decode()))
    if osp.basename(path) == 'manifest.json':
        content = json.loads(data)
        content.pop('duration_seconds', None)
        # a checkpoint holds the time at which it was saved
        (content.get('checkpoint') or {}).pop('sha256', None)
        content['config'] = _not_resumed(str(content.get('config')))
        return content
    if path.endswith('.py'):
        return dict(config=_not_resumed(data.decode()))
    return dict(bytes=data)


def _not_resumed(config: str) -> str:
    """A config holds what was typed, ``--resume`` too."""
    return config.replace('resume = True', 'resume = False')


def _leaves(node: Any, path: str) -> Iterator[Tuple[str, Any]]:
    """All values with their keys; tensors as type, shape and bytes."""
    for key, value in walk(node, path):
        if isinstance(value, torch.Tensor):
            value = value.detach().numpy()
            yield key, (value.dtype, value.shape, value.tobytes())
        elif not isinstance(value, (dict, list, tuple)):
            yield key, repr(value)


# ---- kills -------------------------------------------------------------
class Harness:
    """Runs the roads in a work folder."""

    def __init__(self, args: argparse.Namespace, work: str) -> None:
        self.work = work
        self.rng = random.Random(args.seed)
        self.rounds = args.rounds
        self.preload = args.preload
        self.rows: List[dict] = []
        self.lengths: Dict[str, float] = {}  # seconds of phases

    def start(self, road: Road, again: bool = False) -> Process:
        """The command of a road."""
        out = osp.join(self.work, 'run', road.name)
        words = [word.replace('{out}', out) for word in road.words]
        if again and road.resume:
            words.append('--resume')
        return Process(words, road.env, osp.join(self.work, 'log.txt'),
                       self.preload)

    def reference(self, road: Road) -> None:
        """Run undisturbed; measure how long the phases are."""
        run = osp.join(self.work, 'run', road.name)
        kept = osp.join(self.work, 'reference', road.name)
        for folder in (run, kept):
            shutil.rmtree(folder, ignore_errors=True)
            make_folder(osp.dirname(folder))
        process = self.start(road)
        begun: Dict[str, float] = {}
        ended: Dict[str, float] = {}
        while process.running():
            text = process.text()
            for phase in road.kills:
                first, last = PHASES[phase]
                if phase not in begun and _begins(first, text, run):
                    begun[phase] = process.seconds()
                elif phase in begun and last and phase not in ended and (
                        re.search(last, text)):
                    ended[phase] = process.seconds()
            time.sleep(0.005)
        whole = process.seconds()
        process.check(road)
        for phase in road.kills:
            length = ended.get(phase, whole) - begun.get(phase, 0.)
            self.lengths[f'{road.name}/{phase}'] = length
            print(
                f'{road.name}: {whole:.1f} s, {phase} {length:.2f} s',
                flush=True)
        os.replace(run, kept)
        # configs and manifests name the folder, so it stays in use
        if road.name == 'stage1':
            path = osp.join(kept, 'last_checkpoint')
            atomic_write(path, osp.join(kept, 'epoch_3.pth').encode())

    def kill_all(self, road: Road) -> None:
        """All kills of a road, a few in each run."""
        for _ in range(self.rounds):
            todo = [phase for phase, n in road.kills.items() for _ in range(n)]
            runs = max(1, round(len(todo) / 8))
            for number in range(runs):
                part = deque(todo[number::runs])
                for _ in range(len(part) + 5):
                    if part:
                        self.one_run(road, part)

    def one_run(self, road: Road, todo: deque) -> None:
        """Kill, start again, kill, ..., complete, compare.

        ``todo`` keeps the phases that this run was too fast for.
        """
        run = osp.join(self.work, 'run', road.name)
        shutil.rmtree(run, ignore_errors=True)
        rows: List[dict] = []
        wrong: List[str] = []
        while todo:
            row = self.kill_once(road, todo[0], bool(rows))
            if row is None:  # it was done before the moment came
                break
            rows.append(row)
            todo.popleft()
        else:
            process = self.start(road, bool(rows))
            while process.running():
                time.sleep(0.02)
            if process.code:
                wrong.append(
                    f'status {process.code}: {process.text()[-1500:]}')
        wrong += inspect(run)[1]
        if not wrong:
            reference = osp.join(self.work, 'reference', road.name)
            wrong = compare(reference, run)
        for row in rows:
            row['result'] = 'equal' if not wrong else 'differs'
            row['differences'] = wrong[:5]
            self.rows.append(row)
        state = 'equal' if not wrong else '; '.join(wrong[:3])
        print(f'{road.name}: {len(rows)} kills, {state}', flush=True)

    def kill_once(self, road: Road, phase: str, again: bool) -> Optional[dict]:
        """Start and kill; None if it ends by itself before."""
        run = osp.join(self.work, 'run', road.name)
        process = self.start(road, again)
        length = self.lengths[f'{road.name}/{phase}']
        # what was done before the last kill is not done again
        share = 0.95
        if again:
            share = 0.1 if phase in ('training', 'stage 2') else 0.5
        delay = self.rng.uniform(0, share * length)
        old = set(files_of(run))
        moment = None
        while process.running():
            now = process.seconds()
            if moment is None and _begins(PHASES[phase][0], process.text(),
                                          run, old):
                moment = now + delay
            if moment is not None and now >= moment:
                process.kill()
                break
            time.sleep(0.002)
        if process.code is not None and process.code >= 0:
            process.check(road)
            return None
        counts, wrong = inspect(run)
        return dict(
            road=road.name,
            phase=_phase_of(process.text()) or phase,
            planned=phase,
            second=round(process.seconds(), 2),
            last_line=_last_line(process.text()),
            on_disk=counts,
            half_written=wrong)


def _begins(pattern: Optional[str],
            text: str,
            run: str,
            old: AbstractSet[str] = frozenset()) -> bool:
    """Whether the log, or else a file that is new, says so."""
    if pattern is not None:
        return re.search(pattern, text) is not None
    return any(name not in old for name in files_of(run, hidden=True))


def _phase_of(text: str) -> Optional[str]:
    """Where a training was, by its last line; None for other tools."""
    kinds = {
        r'Epoch\(val\) .*mAP': 'accumulation',
        r'Epoch\(train\)': 'training',
        r'Epoch\(val\)|Saving checkpoint at \d+ epochs': 'validation',
        r'Epoch\(test\)|writing pseudo|accumulated maps': 'dump',
        r'Iter\(train\)|Saving checkpoint at \d+ iter': 'stage 2',
        r'Iter\(val\)': 'stage 2 validation'
    }
    line = _last_line(text)
    if 'mAP' in line and 'Epoch(val) [3]' not in line:
        return 'training'
    return next((kind for x, kind in kinds.items() if re.search(x, line)),
                None)


def _last_line(text: str) -> str:
    """What the tool has printed last, without the date."""
    lines = [line for line in text.splitlines() if line.strip()]
    line = re.sub(r'^.* - INFO - ', '', lines[-1]) if lines else ''
    return re.sub(r'\s+', ' ', line)[:80]


def main() -> None:
    """Kill."""
    args = parse_args()
    work = osp.abspath(args.work_dir)
    make_folder(work)
    out = args.out or osp.join(work, 'interruptions.json')
    src = write_sources(work)
    roads = make_roads(work, src)
    known = [road.name for road in roads]
    for name in args.only or ():
        if name not in known:
            raise InputError(f'--only {name}: is none of {", ".join(known)}')
    if args.preload:
        preload()
    harness = Harness(args, work)
    started = time.perf_counter()
    for road in roads:
        wanted = not args.only or road.name in args.only
        kept = osp.join(work, 'reference', road.name)
        # other roads start from the labels of stage 1
        if wanted or (road.name == 'stage1' and not osp.isdir(kept)):
            harness.reference(road)
        if wanted:
            harness.kill_all(road)
        content = dict(
            seed=args.seed,
            seconds=round(time.perf_counter() - started),
            kills=len(harness.rows),
            equal=sum(row['result'] == 'equal' for row in harness.rows),
            half_written=sum(
                bool(row['half_written']) for row in harness.rows),
            phase_seconds={
                key: round(value, 2)
                for key, value in harness.lengths.items()
            },
            rows=harness.rows)
        atomic_write(out, (json.dumps(content, indent=1) + '\n').encode())
    print(f'\n{"phase":20} kills  equal  half-written files')
    for phase in (*PHASES, 'all'):
        rows = [r for r in harness.rows if phase in (r['phase'], 'all')]
        if rows:
            print(f'{phase:20} {len(rows):5}  '
                  f'{sum(row["result"] == "equal" for row in rows):5}  '
                  f'{sum(bool(row["half_written"]) for row in rows):5}')
    print(out)
    if content['equal'] < content['kills'] or content['half_written']:
        sys.exit(1)


if __name__ == '__main__':
    cli.run(main)
