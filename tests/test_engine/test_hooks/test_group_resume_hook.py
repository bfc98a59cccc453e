# Copyright (c) group_wsss contributors. All rights reserved.
import pytest

from group_wsss.contrib.reliability.group_resume_hook import (GroupResumeHook,
                                                              _Advanced)

LABELS = [[i % 2] for i in range(6)]


@pytest.fixture
def train(toy, monkeypatch):
    """Train with groups; what was read and the images of every step."""

    def run(length, hooks=(), by_epoch=False, **kwargs):
        data, model = toy.dataset(), toy.model(2)
        read = []
        plain = type(data).__getitem__
        monkeypatch.setattr(
            type(data), '__getitem__',
            lambda self, i: read.append(i) or plain(self, i))
        runner = toy(
            hooks,
            by_epoch=by_epoch,
            length=length,
            dataset=data,
            model=model,
            batch_size=4,
            **kwargs)
        runner._train_dataloader['batch_sampler'] = dict(
            type='group_wsss.GroupBatchSampler', group_size=2, labels=LABELS)
        runner.train()
        monkeypatch.undo()
        return read, [sample.img_id for _, _, sample in model.seen]

    return run


@pytest.mark.parametrize('older_loop', [False, True])
def test_resumed_run_goes_on(train, toy, monkeypatch, older_loop):
    _, whole = train(9)
    train(5)
    checkpoint = dict(load_from=str(toy.root / 'work/iter_5.pth'), resume=True)
    if older_loop:
        _as_older_mmengine(monkeypatch)
    read, images = train(9, [GroupResumeHook()], **checkpoint)
    assert images == whole[20:]
    assert len(read) == 16, 'four iterations, none of the five before'


def _as_older_mmengine(monkeypatch):
    """mmengine 0.10.7 calls ``next`` of what it passes over."""
    from mmengine.runner import loops
    iterator = loops._InfiniteDataloaderIterator
    if not hasattr(iterator, 'skip_iter'):
        return
    monkeypatch.delattr(iterator, 'skip_iter')

    def skip_iter(self, count):
        for _ in range(count):
            next(self)

    monkeypatch.setattr(_Advanced, 'skip_iter', skip_iter)


def test_runs_that_need_no_help(train, toy):
    # by epochs the sampler is told its epoch
    _, whole = train(3, by_epoch=True)
    train(2, by_epoch=True)
    checkpoint = dict(
        load_from=str(toy.root / 'work/epoch_2.pth'), resume=True)
    _, images = train(3, [GroupResumeHook()], by_epoch=True, **checkpoint)
    assert images == whole[-len(images):]
    assert len(images) == 12
    # a new run
    assert train(4, [GroupResumeHook()])[1] == train(4)[1]
