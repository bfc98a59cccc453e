# Copyright (c) group_wsss contributors. All rights reserved.
"""In a mount namespace of its own: what writers say when a disk fails.

``unshare -rm python tests/disk_worker.py FOLDER`` prints JSON: a row for
every fault and writer. Status 77: nothing can be mounted here.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

from group_wsss.contrib.exporters.staging import staged
from group_wsss.datasets import generate_toy
from group_wsss.structures import DumpWriter
from group_wsss.utils.errors import InputError

FAULTS = ('full', 'read-only', 'vanished')


def mount(*words):
    return subprocess.run(['mount', *words], capture_output=True).returncode


def fail(fault, place):
    """Break the disk at ``place``."""
    if fault == 'full':
        with open(place / 'ballast', 'wb', buffering=0) as file:
            try:
                while file.write(b'0' * 4096):
                    pass
            except OSError:
                pass
    elif fault == 'read-only':
        # a second mount over it: the first has open files (the log)
        assert mount('--bind', str(place), str(place)) == 0
        assert mount('-o', 'remount,bind,ro', str(place)) == 0
    else:
        subprocess.run(['umount', '-l', str(place)], check=True)


class Net(BaseModel):

    def __init__(self, break_disk):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(9000))
        self.steps, self.break_disk = 0, break_disk

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.steps += 1
        if self.steps == 2:
            self.break_disk()
        return dict(loss=(self.weight**2).sum())


def checkpoint(place, break_disk):
    """Two checkpoints; the disk fails before the second."""
    Runner(
        model=Net(break_disk),
        work_dir=str(place / 'work'),
        train_cfg=dict(by_epoch=False, max_iters=2),
        train_dataloader=dict(
            batch_size=1,
            num_workers=0,
            dataset=[dict(inputs=torch.zeros(1), data_samples=0)] * 2,
            sampler=dict(type='InfiniteSampler')),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1)),
        default_hooks=dict(
            logger=None,
            checkpoint=dict(
                type='group_wsss.AtomicCheckpointHook',
                by_epoch=False,
                interval=1,
                max_keep_ckpts=1)),
        experiment_name=f'disk-{os.urandom(4).hex()}',
        log_level='ERROR',
        default_scope='mmengine').train()


def dump(place, break_disk):
    """A dump over an earlier one."""
    for number in range(2):
        writer = DumpWriter(str(place / 'work'), ['a'])
        writer.begin()
        rng = np.random.default_rng(number)
        for i in range(3):
            if number and i == 1:
                break_disk()
            writer.write(f'image{i}', rng.integers(0, 2, (90, 90), np.uint8))
        writer.finish()


def converter(place, break_disk):
    """The toy set; its pictures come one after the other."""
    from group_wsss.datasets import toy
    plain, done = toy._write_pair, []

    def pair(*args):
        done.append(args)
        if len(done) == 2:
            break_disk()
        return plain(*args)

    toy._write_pair = pair
    try:
        generate_toy(str(place / 'work'), 4, 1, 64)
    finally:
        toy._write_pair = plain


def exporter(place, break_disk):
    """An export over an earlier one."""
    (place / 'work').mkdir()
    out = place / 'work' / 'labels.json'
    for number in range(2):
        with staged(str(out)) as part:
            if number:
                break_disk()
            with open(part, 'w') as file:
                file.write(json.dumps([number] * 2000))


def files(place):
    return {
        str(path.relative_to(place)): path.read_bytes().hex()
        for path in sorted(place.rglob('*'))
        if path.is_file() and '.log' not in path.name and path.name not in (
            'ballast', ) and '.py' not in path.suffix
        and 'vis_data' not in path.parts
    }


def main(root):
    place = root / 'disk'
    rows = []
    for fault in FAULTS:
        for writer in (checkpoint, dump, converter, exporter):
            place.mkdir(exist_ok=True)
            for path in sorted(place.rglob('*'), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            if mount('-t', 'tmpfs', '-o', 'size=600k', 'none', str(place)):
                sys.exit(77)
            before = {}
            # a second view of the file system, to look at after all
            view = root / 'view'
            view.mkdir(exist_ok=True)
            assert mount('--bind', str(place), str(view)) == 0

            def break_disk():
                before.update(files(place))
                fail(fault, place)

            line = kind = None
            try:
                writer(place, break_disk)
            except Exception as error:
                line, kind = str(error), type(error).__name__
            after = files(view)
            rows.append(
                dict(
                    fault=fault,
                    writer=writer.__name__,
                    line=line,
                    kind=kind,
                    is_input_error=kind == InputError.__name__,
                    lost=[x for x in before if before[x] != after.get(x)],
                    new=[x for x in after if x not in before]))
            for folder in (place, view, place):
                subprocess.run(['umount', '-l', str(folder)],
                               capture_output=True)
    (root / 'rows.json').write_text(json.dumps(rows))


if __name__ == '__main__':
    main(Path(sys.argv[1]))
