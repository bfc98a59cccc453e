# Copyright (c) group_wsss contributors. All rights reserved.
import copy
from typing import Any

from mmengine.runner import Runner

from ...registry import RUNNERS
from .num_classes import settle_num_classes

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@RUNNERS.register_module()
class DataRunner(Runner):
    """mmengine's runner, which counts the classes of the data first.

    With ``runner_type='group_wsss.DataRunner'`` in a config,
    ``num_classes='from_data'`` is understood by every tool that asks the
    registry for the runner, among them ``tools/train.py`` and
    ``tools/test.py`` of mmseg and mmpretrain, and with them ``mim train``.
    See ``settle_num_classes`` for the rules.
    """

    @classmethod
    def from_cfg(cls, cfg: Any) -> 'DataRunner':
        """Build the runner.

        Args:
            cfg (mmengine.Config): Not changed.

        Returns:
            DataRunner: The runner.

        Raises:
            InputError: See ``settle_num_classes``.
        """
        cfg = copy.deepcopy(cfg)
        settle_num_classes(cfg, _LOADERS)
        return super().from_cfg(cfg)
