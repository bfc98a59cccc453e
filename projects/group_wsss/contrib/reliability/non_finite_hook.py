# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Dict, List, Optional, Sequence

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor

from ...engine.utils import loss_samples, unwrap_model
from ...registry import HOOKS
from ...structures.image_list import image_id_of
from ...utils.errors import InputError

# ids in a message
_SHOWN = 8


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Stop, or leave a batch out, when a loss is NaN or infinite.

    A torch forward hook on the unwrapped model looks at the losses before
    anything is derived from them. ``'error'`` stops there, with the
    iteration, the loss and the images of the batch. ``'skip'`` leaves the
    batch out on all ranks as soon as one rank has such a loss: no backward,
    no optimizer step, and the buffers (running means of normalisation) are
    as they were; its samples are marked as ``left_out``, so that
    accumulation passes them over. Gradients that overflow under AMP are not
    touched: ``GradScaler`` sees to these itself.

    Args:
        action (str): ``'error'`` or ``'skip'``. Defaults to ``'error'``.
        patience (int): Batches left out in a row after which ``'skip'``
            stops as well: by then the weights are broken. Defaults to 20.

    Raises:
        InputError: An unknown ``action``, several optimizers with
            ``'skip'``, or a loss that is not finite.
    """

    priority = 'VERY_HIGH'

    def __init__(self, action: str = 'error', patience: int = 20) -> None:
        if action not in ('error', 'skip'):
            raise InputError(f"action of NonFiniteHook is '{action}', must be "
                             "'error' or 'skip'")
        self.action = action
        self.patience = patience
        # batches left out so far, and in a row
        self.count = self.in_a_row = 0
        self._handles: List[Any] = []
        self._samples: Sequence = ()
        self._found: Optional[str] = None
        self._buffers: Dict[Tensor, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Listen to the model; with ``'skip'`` stand before the optimizer."""
        self._runner = runner
        model = unwrap_model(runner.model)
        self._handles = [
            model.register_forward_hook(self._look, with_kwargs=True)
        ]
        if self.action == 'error':
            return
        if isinstance(runner.optim_wrapper, OptimWrapperDict):
            raise InputError("NonFiniteHook with action='skip' needs one "
                             'optimizer')
        self._handles.append(
            model.register_forward_pre_hook(self._keep, with_kwargs=True))
        self._update = runner.optim_wrapper.update_params
        runner.optim_wrapper.update_params = self._update_params

    def _keep(self, module: Any, args: tuple, kwargs: Dict[str, Any]) -> None:
        """Remember the buffers: the forward pass may already spoil them."""
        if loss_samples(args, kwargs) is not None:
            self._buffers = {
                buffer: buffer.detach().clone()
                for buffer in module.buffers()
            }

    def _look(self, module: Any, args: tuple, kwargs: Dict[str, Any],
              losses: Any) -> None:
        """Look at the losses; torch calls this after forward."""
        samples = loss_samples(args, kwargs)
        if samples is None:
            return
        self._samples = samples
        self._found = _first_non_finite(losses)
        if self._found is not None and self.action == 'error':
            raise InputError(self._message())

    def _message(self) -> str:
        """Iteration, loss and images."""
        ids = [_id_of(sample) for sample in self._samples]
        more = f', ... ({len(ids)} images)' if len(ids) > _SHOWN else ''
        return (f'iteration {self._runner.iter + 1}: {self._found}, images '
                f'{", ".join(ids[:_SHOWN])}{more}')

    def _update_params(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """``OptimWrapper.update_params``, unless some rank objects."""
        bad = torch.tensor(float(self._found is not None), device=loss.device)
        all_reduce(bad, 'max')
        if not bad:
            self.in_a_row = 0
            self._update(loss, *args, **kwargs)
            return
        with torch.no_grad():
            for buffer, value in self._buffers.items():
                buffer.copy_(value)
        for sample in self._samples:
            sample.set_metainfo(dict(left_out=True))
        self.count += 1
        self.in_a_row += 1
        self._found = self._found or 'a loss of another rank is not finite'
        if self.in_a_row >= self.patience:
            raise InputError(f'{self._message()}: {self.in_a_row} batches in '
                             'a row were left out, the weights are broken')
        self._runner.logger.warning(f'{self._message()}: left out')

    def after_train(self, runner: Runner) -> None:
        """Let go of model and optimizer; tell the count."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._buffers = [], {}
        if self.action == 'skip':
            del runner.optim_wrapper.update_params
            runner.logger.info(f'{self.count} batches were left out because '
                               'of a loss that was not finite')


def _first_non_finite(losses: Dict[str, Any]) -> Optional[str]:
    """Name and value of the first loss that is not finite.

    Losses are as ``parse_losses`` takes them, tensors or lists of tensors;
    only names with ``loss`` count.
    """
    means: Dict[str, Any] = {
        name:
        sum(item.detach().float().mean()
            for item in ([value] if isinstance(value, Tensor) else value))
        for name, value in losses.items() if 'loss' in name
    }
    # one look at all of them: a look at each would wait for the GPU each time
    if not means or torch.stack(list(means.values())).isfinite().all():
        return None
    return next(f'{name} is {value.item()}' for name, value in means.items()
                if not value.isfinite())


def _id_of(sample: Any) -> str:
    """Image id of a sample; ``'?'`` if it knows none."""
    info = {
        key: sample.get(key)
        for key in ('img_id', 'img_path') if sample.get(key) is not None
    }
    return image_id_of(info) if info else '?'
