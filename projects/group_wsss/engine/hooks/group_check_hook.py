# Copyright (c) group_wsss contributors. All rights reserved.
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS
from ...utils.errors import InputError
from ..utils import unwrap_model


@HOOKS.register_module()
class GroupCheckHook(Hook):
    """The sampler and the model must agree on the size of a group.

    A batch is flat, so nothing else would notice: the model would mix
    images that the sampler never put together.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Compare the two; a sampler or model without groups counts as 1.

        Raises:
            InputError: They differ; both config keys are named.
        """
        loader = runner.train_loop.dataloader
        batch_sampler = getattr(loader, 'batch_sampler', None)
        drawn = getattr(batch_sampler, 'group_size', None) or 1
        model = unwrap_model(runner.model)
        expected = getattr(model, 'group_size', None) or 1
        if drawn != expected:
            raise InputError(
                f'train_dataloader.batch_sampler.group_size is {drawn} '
                f'({type(batch_sampler).__name__}), but model.group_size is '
                f'{expected} ({type(model).__name__})')
