# Copyright (c) group_wsss contributors. All rights reserved.
import argparse
import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.model import convert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from group_wsss.utils import launch
from group_wsss.utils.errors import InputError, report_to_launcher

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'


def test_sync_bn_must_not_drop_activations_of_timm():
    cfg = Config.fromfile(CONFIGS / 'group_wsss/toy.py')
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    launch.check_sync_bn(convert_sync_batchnorm(model, 'torch'))
    timm = pytest.importorskip('timm')
    model = nn.Sequential(timm.create_model('tf_efficientnet_lite0'))
    launch.check_sync_bn(model)
    with pytest.raises(InputError, match='sync_bn: .*bn1 is a layer of timm'):
        launch.check_sync_bn(convert_sync_batchnorm(model, 'torch'))


def test_sync_bn_needs_a_gpu(monkeypatch, capsys):
    cfg = Config.fromfile(CONFIGS / 'group_wsss/toy.py')
    cfg.sync_bn = 'torch'
    cfg.model.heads = [dict(norm_cfg=dict(type='SyncBN', momentum=.1))]
    cfg.env_cfg.dist_cfg.timeout = 7
    started = []
    monkeypatch.setenv('RANK', '0')
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cpu')
    monkeypatch.setattr('torch.distributed.init_process_group',
                        lambda *args, **kwargs: started.append(kwargs))
    launch.prepare_launcher(
        cfg, argparse.Namespace(launcher='pytorch', local_rank=0))
    assert 'sync_bn' not in cfg
    assert cfg.model.heads[0].norm_cfg == dict(type='BN', momentum=.1)
    assert 'SyncBN becomes BN' in capsys.readouterr().out
    assert started[0]['timeout'].total_seconds() == 7


def test_pytorch_is_for_torchrun(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(InputError, match='dist_train.sh'):
        launch.prepare_launcher(
            Config(dict(model=dict())),
            argparse.Namespace(launcher='pytorch', local_rank=0))


def test_timeout():
    cfg = Config(dict(model={}))
    assert launch.dist_timeout(cfg) == 1800
    assert cfg.env_cfg.dist_cfg == dict(backend='nccl', timeout=1800)
    cfg.env_cfg.dist_cfg.timeout = 20
    assert launch.dist_timeout(cfg) == 20


@pytest.mark.skipif(
    not launch.torch_is_at_least('2.2'),
    reason='FSDP of torch 2.1 needs a GPU')
def test_fsdp_of_the_config(monkeypatch):
    cfg = Config.fromfile(CONFIGS / '_base_/fsdp.py')
    assert cfg.strategy.state_dict_cfg == 'full'
    assert 'device_id' not in cfg.strategy.model_wrapper
    launch.fit_strategy_to_cpu(cfg)
    assert cfg.strategy.model_wrapper.device_id == 'cpu'
    assert not (cfg.strategy.state_dict_cfg.state_dict_config.offload_to_cpu)
    other = Config(dict(strategy=dict(type='DDPStrategy')))
    launch.fit_strategy_to_cpu(other)
    assert other.strategy.model_wrapper.device_ids is None
    nothing = Config(dict(model={}))
    launch.fit_strategy_to_cpu(nothing)
    assert list(nothing) == ['model']
    monkeypatch.setattr(launch, 'torch_is_at_least', lambda version: False)
    with pytest.raises(InputError, match='strategy.type: FSDPStrategy'):
        launch.fit_strategy_to_cpu(Config.fromfile(CONFIGS / '_base_/fsdp.py'))


@pytest.mark.parametrize('options, kind', [
    (dict(), 'QuietRunner'),
    (dict(strategy=dict(type='SingleDeviceStrategy')), 'FlexibleRunner'),
    (dict(runner_type='FlexibleRunner'), 'FlexibleRunner'),
])
def test_runner_of_a_config(options, kind, tmp_path):
    cfg = Config(
        dict(
            model=dict(type='ToyModelOfLaunch'),
            work_dir=str(tmp_path),
            default_scope='mmengine',
            env_cfg=dict(dist_cfg=dict(backend='nccl')),
            experiment_name=f'launch-{kind}-{len(options)}',
            **options))

    @MODELS.register_module(force=True)
    class ToyModelOfLaunch(nn.Linear):

        def __init__(self):
            super().__init__(1, 1)

    runner = launch.build_runner(cfg)
    assert type(runner).__name__ == kind
    # the config names no hook: mmengine's six and no other
    assert len(runner.hooks) == 6
    assert runner.work_dir == str(tmp_path)


def test_batch_sizes_of_learning_rates():
    found = {}
    for path in CONFIGS.glob('*/*.py'):
        if path.parent.name not in ('group_wsss', 'deeplabv3', 'segformer',
                                    'mixins'):
            continue
        cfg = Config.fromfile(path)
        scale = cfg.get('auto_scale_lr')
        if scale is None:
            continue
        assert not scale.get('enable', False)
        found[path.stem] = scale.base_batch_size
        size = cfg.train_dataloader.batch_size
        processes = 4 if '4xb4' in path.stem else 1
        assert scale.base_batch_size == size * processes, path
    assert len(found) > 10


def test_words_for_torchrun(tmp_path, monkeypatch):
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
    path = tmp_path / 'error.json'
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(path))
    report_to_launcher('rank 1: a.jpg: the file is empty')
    report_to_launcher('what followed from it')
    assert json.loads(path.read_text())['message'].startswith('rank 1: a.jpg')
    failure = ProcessFailure(1, 99, 2, str(path))
    assert failure.message == 'rank 1: a.jpg: the file is empty'
    assert failure.timestamp > 0
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(tmp_path / 'no/e.json'))
    report_to_launcher('nowhere to write')
    monkeypatch.delenv('TORCHELASTIC_ERROR_FILE')
    report_to_launcher('no launcher')
