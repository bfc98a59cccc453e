# Copyright (c) group_wsss contributors. All rights reserved.
"""Interrupted and resumed is bitwise the same as never interrupted."""
import itertools
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import distributed as dist
from torch.utils.data import Dataset

from group_wsss.contrib.reliability import (PREEMPTED, AtomicCheckpointHook,
                                            PreemptionHook, preemption_hook)
from group_wsss.contrib.reliability.preemption_hook import _DeafWorker
from group_wsss.contrib.reliability.random_state import (from_tensors,
                                                         get_state, set_state,
                                                         to_tensors)
from group_wsss.utils.checkpoint import load_from_file, use_safe_loading

NAMES = itertools.count()
SIGTERM = signal.SIGTERM


def draw():
    return random.random(), np.random.rand(), torch.rand(()).item()


class Photos(Dataset):
    """Every look draws from all three global generators."""
    metainfo = dict(classes=('a', ))

    def __init__(self, n=10):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return dict(inputs=torch.tensor([*draw(), float(i)]), data_samples=i)


class Net(BaseModel):
    """One weight; every step draws too."""

    def __init__(self, at=None, mode='loss'):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4))
        self.seen, self.validated, self.at = [], 0, (at, mode)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        noise = torch.rand(4) + torch.tensor(random.gauss(0, 1))
        rows = torch.stack(inputs)
        if mode != 'loss':
            self.validated += 1
            if self.at == (self.validated, 'predict'):
                os.kill(os.getpid(), SIGTERM)
            return list(data_samples)
        self.seen.append((list(data_samples), rows.tolist(), noise.tolist()))
        if self.at == (len(self.seen), 'loss'):
            os.kill(os.getpid(), SIGTERM)
        return dict(loss=((self.weight * rows + noise)**2).mean())


class Count(BaseMetric):
    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        return dict(count=len(results), score=float(np.random.rand()))


class EagerLoop(IterBasedTrainLoop):
    """Starts its workers where it is built, as stock mmengine does."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        iterator = self.dataloader_iterator
        if iterator._iterator is None:
            iterator._iterator = iter(self.dataloader)
        self.first_workers = iterator._iterator._workers


# as in configs/_base_/*_runtime.py
RESUME = ('RandomStateHook', 'GroupResumeHook', 'PreemptionHook',
          'ValidationResumeHook')


def train_once(root,
               name,
               length,
               by_epoch,
               workers=0,
               persistent=False,
               at=None,
               mode='loss',
               interval=1,
               every=1,
               loop=None,
               sampler='InfiniteSampler',
               cfg=None,
               **options):
    """Train in ``root/name``; the network, the runner and its status."""
    use_safe_loading()
    net = Net(at, mode)
    loader = dict(
        batch_size=2,
        num_workers=workers,
        collate_fn=pseudo_collate,
        persistent_workers=persistent and workers > 0)
    train_cfg = dict(type=loop) if loop else dict(by_epoch=by_epoch)
    train_cfg['max_epochs' if by_epoch else 'max_iters'] = length
    runner = Runner(
        model=net,
        work_dir=str(root / name),
        train_cfg=dict(train_cfg, val_interval=interval),
        train_dataloader=dict(
            loader,
            dataset=Photos(),
            sampler=dict(
                type='DefaultSampler' if by_epoch else sampler, shuffle=True)),
        optim_wrapper=dict(
            optimizer=dict(type='Adam', lr=.1), accumulative_counts=every),
        val_cfg=dict(),
        val_dataloader=dict(
            batch_size=1,
            num_workers=0,
            dataset=Photos(3),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        val_evaluator=[Count()],
        default_hooks=dict(
            checkpoint=dict(
                type='group_wsss.AtomicCheckpointHook',
                by_epoch=by_epoch,
                interval=1 if by_epoch else 5,
                max_keep_ckpts=1),
            **{hook: dict(type=f'group_wsss.{hook}')
               for hook in RESUME}),
        experiment_name=f'interruptions-{next(NAMES)}',
        randomness=dict(seed=3),
        log_level='WARNING',
        default_scope='mmengine',
        cfg=dict(cfg or {}, resume=options.get('resume', False)),
        **options)
    status = 0
    numbers = (SIGTERM, signal.SIGINT)
    handlers = [signal.getsignal(number) for number in numbers]
    try:
        runner.train()
    except SystemExit as leaving:
        status = leaving.code
    for number, old in zip(numbers, handlers):
        assert status or signal.getsignal(number) == old
        signal.signal(number, old)
    loop = runner.train_loop
    for node in (loop.dataloader, getattr(loop, 'dataloader_iterator', None)):
        while hasattr(node, '_iterator'):
            node = node._iterator
        if node is not None and workers:
            # left to the garbage collector, each would take five seconds
            node._shutdown_workers()
    return net, runner, status


@pytest.fixture
def train(tmp_path, monkeypatch):
    """The function above, in ``tmp_path``."""
    monkeypatch.setattr(sys, 'argv', ['tools/train.py', 'a config.py'])
    return partial(train_once, tmp_path)


def last(folder):
    return load_from_file((folder / 'last_checkpoint').read_text())


def equal(one, two):
    """Whether weights, optimizer and generators are the same bits."""
    for key in ('state_dict', 'optimizer', 'random_state'):
        left, right = (str(flat(x[key])) for x in (one, two))
        assert left == right, key
    return True


def flat(node):
    if isinstance(node, torch.Tensor):
        return node.shape, node.numpy().tobytes()
    if isinstance(node, dict):
        return [(key, flat(value)) for key, value in sorted(node.items())]
    if isinstance(node, list):
        return [flat(value) for value in node]
    return node


def test_states_round_trip(tmp_path):

    def numbers():
        return [draw(), random.gauss(0, 1), np.random.randn(3).tolist()]

    random.gauss(0, 1), np.random.randn()  # a second number waits
    torch.save(to_tensors(get_state()), tmp_path / 'state.pth')
    state = from_tensors(load_from_file(tmp_path / 'state.pth'))
    first = numbers()
    assert first != numbers()
    set_state(state)
    assert first == numbers()
    # and without one that waits
    random.seed(4)
    state = get_state()
    first = random.gauss(0, 1), random.gauss(0, 1)
    set_state(state)
    assert first == (random.gauss(0, 1), random.gauss(0, 1))


@pytest.fixture
def preempt(train, tmp_path):
    """Train in one go, and with a signal; both runs with it are returned."""

    def do(*loop, at, mode='loss', **options):
        whole, _, status = train('whole', *loop, **options)
        assert status == 0
        first, _, status = train('broken', *loop, at=at, mode=mode, **options)
        assert status == PREEMPTED
        found = (tmp_path / 'broken' / 'preempted.pth').exists()
        second, _, status = train('broken', *loop, resume=True, **options)
        assert status == 0
        # the next image, with the numbers that an unbroken run draws
        assert first.seen + second.seen == whole.seen
        assert equal(last(tmp_path / 'whole'), last(tmp_path / 'broken'))
        return first, second, found

    return do


# 10 images in batches of 2: an epoch has 5 iterations
CASES = [(True, 3, 0, False, None, 7), (True, 3, 0, False, None, 10),
         (False, 15, 0, False, None, 7), (True, 3, 2, False, None, 7),
         (True, 3, 2, True, None, 8), (True, 3, 2, True, None, 10),
         (False, 15, 2, True, None, 10), (False, 15, 2, True, EagerLoop, 10)]


@pytest.mark.slow
@pytest.mark.parametrize('by_epoch, length, workers, persistent, loop, at',
                         CASES)
def test_preempted_run_goes_on(preempt, tmp_path, by_epoch, length, workers,
                               persistent, loop, at):
    first, second, found = preempt(
        length, by_epoch, workers, persistent, loop=loop, at=at)
    assert len(first.seen) == at and len(second.seen) == 15 - at
    # unless a regular one was just saved
    assert found == bool(by_epoch or at % 5)
    # nothing is left of it
    names = [
        sorted(path.name for path in (tmp_path / folder).glob('*.pth'))
        for folder in ('whole', 'broken')
    ]
    assert names[0] == names[1] and len(names[0]) == 1


@pytest.mark.slow
@pytest.mark.parametrize('persistent, sampler', [(True, 'InfiniteSampler'),
                                                 (False, 'InfiniteSampler'),
                                                 (True, 'DefaultSampler')])
def test_loop_that_starts_its_workers_at_once(train, monkeypatch, persistent,
                                              sampler):
    # a signal for all, as of a batch system
    plain = Net.forward

    def tell_workers(self, *args, **kwargs):
        if len(self.seen) == 6:
            for worker in active_children():
                os.kill(worker.pid, signal.SIGUSR1)
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(Net, 'forward', tell_workers)
    net, runner, status = train(
        'one', 7, False, 2, persistent, loop=EagerLoop, sampler=sampler)
    monkeypatch.undo()
    assert status == 0 and len(net.seen) == 7
    first = runner.train_loop.first_workers
    assert len(first) == 2
    assert not any(worker.is_alive() for worker in first)
    usual, _, _ = train('two', 7, False, 2, persistent, sampler=sampler)
    assert [ids for ids, _, _ in net.seen] == [ids for ids, _, _ in usual.seen]


@pytest.mark.slow
@pytest.mark.parametrize('by_epoch, length, workers', [(True, 3, 2),
                                                       (False, 15, 0)])
def test_preempted_again_and_again(train, tmp_path, by_epoch, length, workers):
    loop = (length, by_epoch, workers, True)
    whole, _, _ = train('whole', *loop)
    seen, resume = [], False
    for at in (3, 3, 1, 2, None):
        net, _, status = train('broken', *loop, at=at, resume=resume)
        assert status == (0 if at is None else PREEMPTED)
        seen, resume = seen + net.seen, True
    assert seen == whole.seen
    assert equal(last(tmp_path / 'whole'), last(tmp_path / 'broken'))


def test_validation_draws_nothing_and_is_made_up_for(train, tmp_path):
    # signalled in the second validation; the checkpoint is that before it
    often, _, _ = train('often', 2, True)
    first, runner, status = train('broken', 2, True, at=5, mode='predict')
    assert status == PREEMPTED and len(first.seen) == 10
    assert not (tmp_path / 'broken' / 'preempted.pth').exists()
    second, runner, status = train('broken', 2, True, resume=True)
    assert status == 0 and second.seen == []
    assert second.validated == 3
    # what was validated does not change what is trained
    never, _, _ = train('never', 2, True, interval=9)
    assert never.seen == often.seen and never.validated == 3


def test_validation_between_checkpoints(preempt):
    # the validation of iteration 3 follows no checkpoint: it is saved
    first, second, found = preempt(9, False, interval=3, at=2, mode='predict')
    assert len(first.seen) == 3 and found
    assert second.validated == 9


def test_waits_for_the_end_of_an_accumulated_step(preempt):
    first, _, _ = preempt(12, False, every=3, interval=99, at=4)
    assert len(first.seen) == 6


def test_line_and_late_signal(train, monkeypatch):
    _, runner, _ = train('one', 10, False, at=2)
    hook = next(h for h in runner.hooks if isinstance(h, PreemptionHook))
    lines = []
    runner.logger.warning = lines.append
    # training over, labels being written: leave at once
    hook._trained = True
    monkeypatch.setattr(preemption_hook, 'is_called_by', lambda *_: True)
    with pytest.raises(SystemExit) as leaving:
        hook._receive(signal.SIGUSR1, None)
    assert leaving.value.code == PREEMPTED == 75
    assert lines == [
        'SIGUSR1: training is over; to go on: '
        "python tools/train.py 'a config.py' --resume"
    ]


def test_error_in_training_gives_the_signals_back(train, monkeypatch):
    told = []
    old = signal.signal(signal.SIGUSR1, lambda *_: told.append('old'))
    try:
        plain = Net.forward

        def fail(self, *args, **kwargs):
            if len(self.seen) == 2:
                raise ValueError('of the network')
            return plain(self, *args, **kwargs)

        monkeypatch.setattr(Net, 'forward', fail)
        with pytest.raises(ValueError, match='of the network'):
            train('one', 10, False, interval=99)
        assert signal.getsignal(signal.SIGUSR1).__name__ == '_receive'
        os.kill(os.getpid(), signal.SIGUSR1)
        assert told == ['old']
    finally:
        signal.signal(signal.SIGUSR1, old)


def test_worker_obeys_its_parent_alone():

    def work(pipe):
        _DeafWorker(None, [SIGTERM, signal.SIGUSR1])(0)
        os.write(pipe, b'ready')
        time.sleep(60)
        os._exit(1)

    def ended(pid, seconds):
        for _ in range(int(seconds * 50)):
            if os.waitpid(pid, os.WNOHANG)[0]:
                return True
            time.sleep(.02)
        return False

    reader, writer = os.pipe()
    worker = os.fork()
    if not worker:
        work(writer)
    assert os.read(reader, 5) == b'ready'
    # a batch system
    for name in ('TERM', 'USR1', 'TERM'):
        subprocess.run(['kill', f'-{name}', str(worker)], check=True)
    assert not ended(worker, .5)
    # the main process, at its end
    os.kill(worker, SIGTERM)
    assert ended(worker, 10)
    # a main process that is killed leaves no worker behind: the pipe closes
    main = os.fork()
    if not main:
        os.close(reader)
        if not os.fork():
            work(writer)
        os.close(writer)
        time.sleep(60)
        os._exit(1)
    os.close(writer)
    assert os.read(reader, 5) == b'ready'
    os.kill(main, signal.SIGKILL)
    os.waitpid(main, 0)
    assert select.select([reader], [], [], 10)[0]
    assert os.read(reader, 5) == b''
    os.close(reader)


def test_other_world_or_workers(train, tmp_path):
    train('one', 1, True)
    path = tmp_path / 'one' / 'epoch_1.pth'
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['random_state'] *= 2
    torch.save(checkpoint, path)
    net, _, status = train('one', 2, True, resume=True)
    assert status == 0 and len(net.seen) == 5
    net, _, status = train('one', 3, True, workers=1, resume=True)
    assert status == 0 and len(net.seen) == 5


def test_checkpoint_is_there_before_the_old_one_goes(train, tmp_path,
                                                     monkeypatch):
    # cut off at every step of writing the second checkpoint
    for step in range(6):
        folder, done = tmp_path / f'cut{step}', []

        def cut(method):
            plain = getattr(os, method)

            def call(*args, **kwargs):
                if (folder / 'epoch_1.pth').exists() and len(done) >= step:
                    raise KeyboardInterrupt
                if any(
                        word in str(args)
                        for word in ('epoch_1', 'epoch_2', 'last')):
                    done.append(method)
                return plain(*args, **kwargs)

            monkeypatch.setattr(os, method, call)

        cut('replace')
        cut('remove')
        with suppress(KeyboardInterrupt):
            train(folder.name, 2, True)
        monkeypatch.undo()
        if (folder / 'last_checkpoint').exists():
            last(folder)
    assert {'replace', 'remove'} == set(done)


def test_checkpoints_that_are_kept(train, tmp_path):

    def kept():
        return [path.name for path in (tmp_path / 'one').glob('*.pth')]

    _, runner, _ = train('one', 3, True)
    hook = next(h for h in runner.hooks if isinstance(h, AtomicCheckpointHook))
    assert list(hook.keep_ckpt_ids) == [3] and kept() == ['epoch_3.pth']
    # killed before the old one was removed: the next run does it
    (tmp_path / 'one' / 'epoch_2.pth').touch()
    train('one', 4, True, resume=True)
    assert kept() == ['epoch_4.pth']


@pytest.mark.slow
@pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(),
    reason='this torch has no gloo')
def test_one_of_two_processes_is_told(tmp_path):
    env = dict(os.environ, CUDA_VISIBLE_DEVICES='')
    processes = [
        subprocess.Popen([sys.executable, __file__, tmp_path,
                          str(rank)],
                         env=env,
                         stderr=subprocess.PIPE,
                         text=True) for rank in range(2)
    ]
    for process in processes:
        _, text = process.communicate(timeout=200)
        assert process.returncode == 0, text
    for rank in range(2):
        whole, first, second = json.loads(
            (tmp_path / f'{rank}.json').read_text())
        # rank 1 was told in its fourth step, the middle of an epoch of 3
        assert len(first) == 4 and first + second == whole
    assert equal(last(tmp_path / 'whole'), last(tmp_path / 'broken'))
    states = last(tmp_path / 'whole')['random_state']
    assert len(states) == 2


def run_rank(root, rank):
    """What a process of the test above does."""
    os.environ.update(RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK=str(rank))
    dist.init_process_group(
        'gloo', init_method=f'file://{root}/meet', rank=rank, world_size=2)
    options = dict(
        launcher='pytorch',
        cfg=dict(
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel', device_ids=None)))
    train = partial(train_once, root, length=3, by_epoch=True, **options)
    seen = []
    for name, at, resume in (('whole', None, False), ('broken', 4, False),
                             ('broken', None, True)):
        net, _, status = train(name, at=at if rank else None, resume=resume)
        assert status == (PREEMPTED if at else 0)
        seen.append(net.seen)
    (root / f'{rank}.json').write_text(json.dumps(seen))
    dist.barrier()
    os._exit(0)  # threads of gloo may outlive the interpreter


if __name__ == '__main__':
    run_rank(Path(sys.argv[1]), int(sys.argv[2]))
