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
TTA = dict(type='group_wsss.LastTTA')


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


@pytest.fixture
def make(toy):
    """A runner whose test loop is ours."""

    class Augmented(toy.dataset):
        """Each image with an augmentation that is all wrong."""

        right_last = True

        def __getitem__(self, i):
            item = super().__getitem__(i)
            other = copy.deepcopy(item)
            other['inputs'] = 1 - other['inputs']
            views = [other, item] if self.right_last else [item, other]
            return {key: [view[key] for view in views] for key in item}

    def do(hooks=(), right_last=True):
        SEEN.clear()
        data = Augmented(flips=(None, ))
        data.right_last = right_last
        runner = toy(
            hooks,
            length=1,
            test=True,
            test_dataset=data,
            cfg=dict(tta_model=TTA, tta_pipeline=[dict()]))
        runner._test_loop = TTATestLoop(runner, runner._test_dataloader,
                                        runner._test_evaluator)
        return runner

    return do


def labels(toy):
    out = toy.work / 'pseudo_labels'
    return {p.name: p.read_bytes() for p in out.rglob('*.png')}


def test_training_ends_with_augmented_labels(toy, make):
    toy([PseudoLabelHook()], length=1, test=True).train()
    plain = labels(toy)
    runner = make([PseudoLabelHook()])
    model = runner.model
    runner.train()
    assert SEEN and all(tta.module is model for tta in SEEN)
    assert labels(toy) == plain and len(plain) == 6
    make([PseudoLabelHook()], right_last=False).train()
    assert all(labels(toy)[name] != plain[name] for name in plain)


def test_the_model_is_wrapped_while_the_loop_runs(make):
    runner = make()
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


@MODEL_WRAPPERS.register_module()
class WrapperOfTheTests(nn.Module):

    def __init__(self, module):
        super().__init__()
        self.module = module


def test_distributed_wrappers_are_left_out(make):
    runner = make()
    model = runner.model
    runner.model = wrapped = WrapperOfTheTests(model)
    runner.test()
    assert runner.model is wrapped
    assert SEEN and all(tta.module is model for tta in SEEN)


def test_a_wrapped_model_is_not_wrapped_again(make):
    runner = make()
    runner.model = tta = LastTTA(runner.model)
    runner.test()
    assert runner.model is tta and all(seen is tta for seen in SEEN)


@pytest.mark.parametrize('cfg', [
    dict(),
    dict(tta_model=TTA),
    dict(tta_pipeline=[dict()]),
])
def test_missing_settings(toy, cfg):
    runner = toy(test=True, cfg=cfg)
    args = (runner, runner._test_dataloader, runner._test_evaluator)
    with pytest.raises(InputError, match='tta_model and tta_pipeline'):
        TTATestLoop(*args)
    loop = TTATestLoop(*args, tta_model=TTA, tta_pipeline=[dict()])
    assert loop.tta_model == TTA


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
