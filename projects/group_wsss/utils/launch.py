# Copyright (c) group_wsss contributors. All rights reserved.
"""Helpers for a tool that is one of several processes."""
import argparse
import os
from datetime import timedelta
from typing import Any

from .config import walk
from .errors import InputError
from .quiet import hide_on_terminal

# seconds that torch waits for a rank, unless env_cfg.dist_cfg.timeout is set
DEFAULT_TIMEOUT = 1800


def torch_is_at_least(version: str) -> bool:
    """Tell whether the torch that is installed is this one or later.

    Args:
        version (str): As ``'2.2'``.
    """
    import torch
    from mmengine.utils import digit_version
    return digit_version(torch.__version__) >= digit_version(version)


def groups_can_be_left() -> bool:
    """Tell whether ``torch.distributed.destroy_process_group`` comes back.

    Gloo of torch 2.1 may wait for its own threads forever, now and then.
    Such a process just ends.
    """
    return torch_is_at_least('2.3')


def dist_timeout(cfg: Any) -> float:
    """Seconds that a rank waits for another one.

    Args:
        cfg (mmengine.Config): Changed in place: ``env_cfg.dist_cfg.timeout``
            is set where it is not; torch's own is shorter with GPUs.

    Returns:
        float: 1800 unless it was set.
    """
    # `setdefault` of a Config hands out another dict than it keeps
    if not cfg.get('env_cfg', None):
        cfg.env_cfg = dict()
    if not cfg.env_cfg.get('dist_cfg', None):
        cfg.env_cfg.dist_cfg = dict(backend='nccl')
    if cfg.env_cfg.dist_cfg.get('timeout', None) is None:
        cfg.env_cfg.dist_cfg.timeout = DEFAULT_TIMEOUT
    return float(cfg.env_cfg.dist_cfg.timeout)


def fit_strategy_to_cpu(cfg: Any) -> None:
    """Let FSDP of a config run without a GPU.

    Args:
        cfg (mmengine.Config): Changed in place; ``strategy`` may be absent.

    Raises:
        InputError: The FSDP of torch 2.1 asks for streams of a GPU.
    """
    strategy = cfg.get('strategy', None)
    if not strategy:
        return
    if not strategy.get('model_wrapper', None):
        strategy.model_wrapper = dict()
    wrapper = strategy.model_wrapper
    if strategy.get('type') != 'FSDPStrategy':
        wrapper.setdefault('type', 'MMDistributedDataParallel')
        wrapper['device_ids'] = None
        return
    if not torch_is_at_least('2.2'):
        raise InputError('strategy.type: FSDPStrategy of torch 2.1 needs a '
                         'GPU')
    wrapper['device_id'] = 'cpu'
    if strategy.get('state_dict_cfg', None) == 'full':
        # moving to the CPU what is there already ends in a segmentation
        # fault (torch 2.11)
        strategy.state_dict_cfg = dict(
            state_dict_type='FULL_STATE_DICT',
            state_dict_config=dict(
                type='FullStateDictConfig',
                rank0_only=True,
                offload_to_cpu=False),
            optim_state_dict_config=dict(
                type='FullOptimStateDictConfig',
                rank0_only=True,
                offload_to_cpu=False))


def prepare_launcher(cfg, args: argparse.Namespace) -> None:
    """Set the launcher; without a GPU start the ``gloo`` group ourselves.

    mmengine asks the CUDA driver for a device and hands one to DDP. With the
    group already there and ``device_ids=None`` it does neither.

    Args:
        cfg (mmengine.Config): Changed in place.
        args (argparse.Namespace): With ``launcher`` and ``local_rank``.

    Raises:
        InputError: ``--launcher`` outside of that launcher.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher
    if args.launcher == 'none':
        return
    if args.launcher == 'pytorch' and 'RANK' not in os.environ:
        raise InputError('--launcher pytorch is for torchrun: start it by '
                         'tools/dist_train.sh or tools/dist_test.sh')
    from mmengine.device import get_device
    timeout = timedelta(seconds=dist_timeout(cfg))
    if get_device() != 'cpu':
        return
    if args.launcher != 'pytorch':
        raise InputError(f'--launcher {args.launcher} needs GPUs: use '
                         'tools/dist_train.sh on CPUs')
    from torch import distributed as dist
    if not dist.is_initialized():
        dist.init_process_group('gloo', timeout=timeout)
    wrapper = dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    wrapper.update(cfg.get('model_wrapper_cfg', None) or {})
    wrapper['device_ids'] = None
    cfg.model_wrapper_cfg = wrapper
    fit_strategy_to_cpu(cfg)
    # mmengine would turn every batch norm into one that needs a GPU
    synced = cfg.pop('sync_bn', None) is not None
    for _, node in walk(cfg.model):
        if isinstance(node, dict) and node.get('type') == 'SyncBN':
            node['type'], synced = 'BN', True
    if synced and os.environ.get('RANK', '0') == '0':
        print('no GPU: SyncBN becomes BN', flush=True)


def check_sync_bn(model: Any) -> None:
    """Refuse a network that lost activations to ``sync_bn='torch'``.

    timm joins batch norm and activation in one layer; mmengine puts a mere
    ``SyncBatchNorm`` in its place.

    Args:
        model (nn.Module): As the runner has converted it.

    Raises:
        InputError: The first layer that did.
    """
    from torch.nn import SyncBatchNorm
    for name, module in model.named_modules():
        if not type(module).__module__.startswith('timm.'):
            continue
        for child, layer in module.named_children():
            if type(layer) is SyncBatchNorm:
                raise InputError(f'sync_bn: {name}.{child} is a layer of '
                                 'timm, which would lose its activation')


def build_runner(cfg: Any, loader: str = 'train_dataloader') -> Any:
    """Build the runner that a config asks for, as the tools of mmseg do.

    One line says what begins: config, data, work dir, log file, processes.

    Args:
        cfg (mmengine.Config): ``runner_type`` names it; without one, a
            config with a ``strategy`` takes mmengine's ``FlexibleRunner``,
            all others ``Runner``.
        loader (str): Its data are named. Defaults to
            ``'train_dataloader'``.

    Returns:
        mmengine.Runner: The runner.
    """
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner

    class QuietRunner(Runner):
        """For configs of others, whose log is as long."""

        def build_logger(self, *args: Any, **kwargs: Any) -> Any:
            logger = super().build_logger(*args, **kwargs)
            hide_on_terminal(logger)
            return logger

    if cfg.get('strategy', None):
        cfg.setdefault('runner_type', 'FlexibleRunner')
    if 'runner_type' in cfg:
        runner = RUNNERS.build(cfg)
    else:
        runner = QuietRunner.from_cfg(cfg)
    log = os.path.join(runner.log_dir, f'{runner.timestamp}.log')
    many = f', {runner.world_size} processes' * (runner.world_size > 1)
    runner.logger.info(f'config {cfg.filename}, data {data_of(cfg, loader)}, '
                       f'work dir {cfg.work_dir}, log {log}{many}')
    return runner


def data_of(cfg: Any, loader: str) -> str:
    """Name the images that a config goes through.

    Args:
        cfg (mmengine.Config): The config.
        loader (str): Such as ``'train_dataloader'``.

    Returns:
        str: The list of images, or their folder; the type of the dataset
        where it has neither.
    """
    data = cfg.get(loader, None) or {}
    while isinstance(data.get('dataset'), dict):
        data = data['dataset']
    root, name = data.get('data_root') or '', data.get('ann_file') or ''
    path = os.path.join(root, name) if isinstance(name, str) else root
    return path.rstrip('/') or str(data.get('type', 'none'))
