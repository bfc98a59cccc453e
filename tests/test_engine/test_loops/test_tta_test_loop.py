# Copyright (c) group_wsss contributors. All rights reserved.
import copy

import pytest
import torch.nn as nn
from mmengine.model import BaseTTAModel
from mmengine.registry import LOOPS, MODEL_WRAPPERS, DefaultScope

from group_wsss.engine import PseudoLabelHook
from group_wsss.engine.loops import TTATestLoop
from group_wsss.engine.loops.tta_test_loop import replace_pipelines
from group_wsss.registry import MODELS
from group_wsss.utils.errors import InputError

SEEN = []


# by name: stock mmengine cannot write a config with a class in it
@MODELS.register_module()
class LastTTA(BaseTTAModel):
    """The last augmentation's predictions."""

    def test_step(self, data):
        SEEN.append(self)
        assert not self.training and not self.module.training
        return super().test_step(data)

    def merge_preds(self, data_samples_list):
        return [views[-1] for views in data_samples_list]


def augmented(toy, wrong=False):
    """Images of the toy set with an augmentation that is all wrong."""
    data = toy.dataset(flips=(None, ))

    def take(i, get=data.__class__.__getitem__):
        item = get(data, i)
        other = copy.deepcopy(item)
        other['inputs'] = 1 - other['inputs']
        views = [item, other] if wrong else [other, item]
        return {key: [view[key] for view in views] for key in item}

    cls = type('Augmented', (type(data), ),
               dict(__getitem__=lambda self, i: take(i)))
    data.__class__ = cls
    return data


def make(toy, hooks=(), wrong=False, **kwargs):
    """A runner whose test loop is ours."""
    SEEN.clear()
    runner = toy(
        hooks,
        length=1,
        test=True,
        test_dataset=augmented(toy, wrong),
        cfg=dict(
            tta_model=dict(type='group_wsss.LastTTA'), tta_pipeline=[dict()]),
        **kwargs)
    runner._test_loop = TTATestLoop(runner, runner._test_dataloader,
                                    runner._test_evaluator)
    return runner


def labels(toy):
    out = toy.root / 'work' / 'pseudo_labels'
    return {p.name: p.read_bytes() for p in out.rglob('*.png')}


def test_training_ends_with_augmented_labels(toy):
    toy([PseudoLabelHook()], length=1, test=True).train()
    plain = labels(toy)
    runner = make(toy, [PseudoLabelHook()])
    model = runner.model
    runner.train()
    assert SEEN and all(tta.module is model for tta in SEEN)
    assert labels(toy) == plain and len(plain) == 6
    make(toy, [PseudoLabelHook()], wrong=True).train()
    assert all(labels(toy)[name] != plain[name] for name in plain)


def test_the_model_is_wrapped_while_the_loop_runs(toy):
    runner = make(toy)
    model = runner.model
    for _ in range(2):
        assert runner.test() == {'toy/images': 6}
        assert runner.model is model
    assert all(tta.module is model for tta in SEEN)

    def fail(self, data):
        raise KeyboardInterrupt

    model.test_step = fail.__get__(model)
    with pytest.raises(KeyboardInterrupt):
        runner.test()
    assert runner.model is model


def test_distributed_wrappers_are_left_out(toy):

    class Wrapper(nn.Module):

        def __init__(self, module):
            super().__init__()
            self.module = module

    MODEL_WRAPPERS.register_module(name='ToyWrapper', module=Wrapper)
    try:
        runner = make(toy)
        model = runner.model
        runner.model = wrapped = Wrapper(model)
        runner.test()
        assert runner.model is wrapped
        assert SEEN and all(tta.module is model for tta in SEEN)
    finally:
        MODEL_WRAPPERS._module_dict.pop('ToyWrapper')


def test_a_wrapped_model_is_not_wrapped_again(toy):
    runner = make(toy)
    runner.model = tta = LastTTA(runner.model)
    runner.test()
    assert runner.model is tta and all(seen is tta for seen in SEEN)


@pytest.mark.parametrize('cfg', [
    dict(),
    dict(tta_model=dict(type='group_wsss.LastTTA')),
    dict(tta_pipeline=[dict()]),
])
def test_missing_settings(toy, cfg):
    runner = toy(test=True, cfg=cfg)
    args = (runner, runner._test_dataloader, runner._test_evaluator)
    with pytest.raises(InputError, match='tta_model and tta_pipeline'):
        TTATestLoop(*args)
    loop = TTATestLoop(
        *args,
        tta_model=dict(type='group_wsss.LastTTA'),
        tta_pipeline=[dict()])
    assert loop.tta_model == dict(type='group_wsss.LastTTA')


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'group_wsss'])
def test_found_in_every_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        assert LOOPS.get('group_wsss.TTATestLoop') is TTATestLoop


def test_replace_pipelines():
    built = object()
    data = dict(
        pipeline=['outer'],
        dataset=dict(datasets=[
            dict(pipeline=['a']),
            dict(dataset=dict(pipeline=['b']))
        ]),
        reference=dict(pipeline=['c']))
    new = [dict(type='X')]
    replace_pipelines(data, new)
    assert data == dict(
        pipeline=['outer'],
        dataset=dict(
            datasets=[dict(pipeline=new),
                      dict(dataset=dict(pipeline=new))]),
        reference=dict(pipeline=new))
    # each has its own
    assert data['reference']['pipeline'][0] is not new[0]
    data = dict(dataset=built, reference=None)
    replace_pipelines(data, new)
    assert data == dict(dataset=built, reference=None)
