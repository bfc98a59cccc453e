# Copyright (c) group_wsss contributors. All rights reserved.
"""Class names that number the same labels, wherever two sources meet."""
import json
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from group_wsss.engine.hooks import SafeLoadingHook
from group_wsss.pseudo_labels import LabelPipeline, Refiners
from group_wsss.structures import DumpWriter
from group_wsss.structures.dump import Dump
from group_wsss.utils.classes import class_difference
from group_wsss.utils.errors import InputError

CAT, DOG, COW = 'cat', 'dog', 'cow'


@pytest.mark.parametrize('names, others, words', [
    ([CAT, DOG], [DOG, CAT], "one (dog, cat): class 0 is 'cat', there 'dog'"),
    ([CAT], [CAT, DOG], "class 1 is missing, there 'dog'"),
    ([CAT, DOG, COW], [CAT, DOG], "class 2 is 'cow', there missing"),
    (['background', CAT], [CAT], "class 0 is 'background', there 'cat'"),
    ([CAT], list('abcdefg'), '(a, b, c, d, e, ...)'),
    ([CAT, DOG], (CAT, DOG), None),
])
def test_first_difference(names, others, words):
    text = class_difference(names, 'this', others, 'that one')
    assert text is None if words is None else (
        words in text and 'this differ from those of that one' in text)


class Data(list):
    """A data set as far as it has names."""

    def __init__(self, names, folder=None, **more):
        super().__init__([0])
        self.metainfo = dict(classes=names)
        self.data_prefix = dict(seg_map_path=folder)
        self.__dict__.update(more)

    def get_data_info(self, i):
        return dict(seg_map_path=f'{self.data_prefix["seg_map_path"]}/x.png')


def run(trains=False, resume=False, **loops):
    """A runner with a loop for each data set."""
    model = nn.Linear(2, 2)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), 1))
    return SimpleNamespace(
        model=model,
        optim_wrapper=wrapper if trains else None,
        cfg=dict(resume=resume, load_from='x.pth'),
        **{
            f'_{kind}_loop':
            SimpleNamespace(
                dataloader=SimpleNamespace(dataset=loops.get(kind)))
            for kind in ('train', 'val', 'test')
        })


@pytest.mark.parametrize('runner, refused', [
    (run(test=Data([DOG, CAT], ann_file='new.json')), True),
    (run(True, True, train=Data([DOG, CAT], ann_file='new.json')), True),
    (run(True, train=Data([DOG, CAT], ann_file='new.json')), False),
    (run(test=Data(['background', CAT, DOG], ann_file='new.json')), True),
    (run(test=Data([CAT, DOG])), False),
])
def test_data_and_checkpoint(runner, refused, monkeypatch):
    said = []
    monkeypatch.setattr('group_wsss.engine.hooks.safe_loading_hook.print_log',
                        lambda text, **_: said.append(text))
    saved = dict(
        state_dict=runner.model.state_dict(),
        meta=dict(dataset_meta=dict(classes=(CAT, DOG))))
    words = 'new.json .* differ from those of x.pth .*cat, dog'
    with pytest.raises(InputError, match=words) if refused else nullcontext():
        SafeLoadingHook().after_load_checkpoint(runner, saved)
    # who trains other classes on purpose is told
    trains = runner.optim_wrapper is not None
    assert len(said) == (trains and not refused)


@pytest.fixture
def dump(tmp_path):
    """A dump of one image, in whose folder another label lies."""
    writer = DumpWriter(str(tmp_path / 'dump'), [CAT, DOG])
    writer.write('y', np.zeros((2, 2), np.uint8))
    writer.finish()
    (tmp_path / 'dump/x.png').write_bytes(
        (tmp_path / 'dump/y.png').read_bytes())
    return str(tmp_path / 'dump')


def test_data_and_data(dump):
    hook, names = SafeLoadingHook(), [CAT, DOG]
    hook.before_train(run(train=Data(names), val=Data(names)))
    with pytest.raises(InputError, match='b.json .*val_dataloader.* a.json'):
        hook.before_train(
            run(train=Data(names, ann_file='a.json'),
                val=Data(names[::-1], ann_file='b.json')))
    with pytest.raises(InputError, match='dump/manifest.json'):
        hook.before_test(run(test=Data(['background', CAT, COW], dump)))
    # label 0 would be a cat
    with pytest.raises(InputError, match="'cat', there 'background'"):
        hook.before_train(run(train=Data(names, dump)))
    every = ['background', *names]
    mapped = dict(label_map={1: 0}, METAINFO=dict(classes=every))
    for data in (Data(every, dump), Data(names, dump, reduce_zero_label=True),
                 Data([DOG], dump, **mapped)):
        with pytest.raises(InputError, match="dump/ids.txt: 1 of 1 .*'x'"):
            hook.before_train(run(train=data))


def test_dump_and_list(dump, tmp_path):
    path = tmp_path / 'list.json'
    for names, image, words in (([DOG, CAT], 'y', 'list.json differ .*dump/'),
                                ([CAT, DOG], 'x', 'ids.txt: 1 of 1')):
        path.write_text(
            json.dumps(dict(classes=names, images=[dict(id=image)])))
        with pytest.raises(InputError, match=words):
            Dump.open(dump, image_list=str(path))
    with pytest.raises(InputError, match='the given classes differ'):
        Dump.open(dump, classes=[DOG, CAT])


def test_labels_and_the_network_of_a_refiner():
    step = SimpleNamespace(
        classes=('background', CAT, DOG), checkpoint='net.pth')
    refiners = Refiners()
    refiners.steps = [step]
    LabelPipeline(len, refiners, ['cat', 'dog'])
    with pytest.raises(InputError, match='labels differ .*net.pth'):
        LabelPipeline(len, refiners, ['dog', 'cat'])
