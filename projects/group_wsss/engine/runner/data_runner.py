# Copyright (c) group_wsss contributors. All rights reserved.
import copy
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import BaseLoop, FlexibleRunner, Runner

from ...registry import RUNNERS
from ...utils.launch import check_sync_bn
from ...utils.quiet import hide_on_terminal
from .group_size import LOADERS, settle_group_size
from .num_classes import settle_num_classes
from .options import check_data, check_loaders, check_training
from .schedules import check_schedules

_STOCK_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger',
                'param_scheduler', 'checkpoint')


def settle(cfg: Any) -> Any:
    """Write what a config says once wherever it is needed.

    Args:
        cfg (mmengine.Config): Not changed.

    Returns:
        mmengine.Config: A copy, after ``settle_group_size`` and
        ``settle_num_classes``; without the default hooks that are None,
        which mmengine allows for its own six alone.

    Raises:
        InputError: See these two.
    """
    cfg = copy.deepcopy(cfg)
    for name, hook in list((cfg.get('default_hooks', None) or {}).items()):
        if hook is None and name not in _STOCK_HOOKS:
            del cfg.default_hooks[name]
    settle_group_size(cfg)
    settle_num_classes(cfg, LOADERS)
    return cfg


class _Checked:
    """What both runners look at before they run."""

    cfg: Any
    _train_loop: Any

    def train(self) -> Any:
        """Train, unless an option cannot work; see ``options.py``."""
        check_loaders(self.cfg, LOADERS[:2])
        check_training(self.cfg)
        return super().train()  # type: ignore[misc]

    def val(self) -> Any:
        """Validate, unless an option cannot work."""
        check_loaders(self.cfg, LOADERS[1:2])
        return super().val()  # type: ignore[misc]

    def test(self) -> Any:
        """Test, unless an option cannot work."""
        check_loaders(self.cfg, LOADERS[2:])
        return super().test()  # type: ignore[misc]

    def load_or_resume(self) -> None:
        """Load or resume, unless data or schedule do not fit the training.

        Raises:
            InputError: See :func:`check_data` and :func:`check_schedules`.
        """
        # before its training alone, all is built when this is called
        training = isinstance(self._train_loop, BaseLoop)
        if training:
            check_data(self)
            check_schedules(self)
        super().load_or_resume()  # type: ignore[misc]
        if training:
            check_schedules(self, resumed=True)


@RUNNERS.register_module()
class DataRunner(_Checked, Runner):
    """mmengine's runner, which settles group size and classes first.

    With ``runner_type='group_wsss.DataRunner'`` in a config, as in
    ``configs/_base_/*_runtime.py``, ``group_size`` is written once and
    ``num_classes='from_data'`` is understood by every tool that asks the
    registry for the runner, among them ``tools/train.py`` and
    ``tools/test.py`` of mmseg and mmpretrain, and with them ``mim train``.
    See :func:`settle`. The terminal gets what a person reads of the log, the
    file in the work dir all of it, see ``group_wsss.utils.quiet``.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger; arguments as of ``Runner``."""
        logger = super().build_logger(*args, **kwargs)
        hide_on_terminal(logger)
        return logger

    @classmethod
    def from_cfg(cls, cfg: Any) -> Any:
        """Build the runner.

        Args:
            cfg (mmengine.Config): Not changed.

        Returns:
            Runner: A ``DataRunner``; a ``DataFlexibleRunner`` for a config
            with a ``strategy``, such as ``configs/_base_/fsdp.py``.

        Raises:
            InputError: See :func:`settle`; or ``sync_bn`` does not fit the
                network.
        """
        if cfg.get('strategy', None):
            return DataFlexibleRunner.from_cfg(cfg)
        runner = super().from_cfg(settle(cfg))
        if cfg.get('sync_bn', None) is not None:
            check_sync_bn(runner.model)
        return runner


@RUNNERS.register_module()
class DataFlexibleRunner(_Checked, FlexibleRunner):
    """``DataRunner`` for configs with a ``strategy``, such as FSDP."""

    @classmethod
    def from_cfg(cls, cfg: Any) -> Any:
        """Build the runner; see ``DataRunner.from_cfg``."""
        return super().from_cfg(settle(cfg))
