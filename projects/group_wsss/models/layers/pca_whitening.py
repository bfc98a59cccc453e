# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Dict, Optional, Sequence, Union

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModule
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError


def no_autocast(x: Tensor) -> torch.autocast:
    """Full precision on the device of a tensor."""
    return torch.autocast(x.device.type, enabled=False)


@MODELS.register_module()
class PCAWhitening(BaseModule):
    """Project positions on the leading whitened principal directions.

    ``y = S^(-1/2) U^T (x - mean)`` with the ``D`` largest eigenvalues ``S``
    and eigenvectors ``U`` of the covariance of all positions seen while
    training. Cosines of the result compare what varies between images,
    where those of raw features are ruled by a few channels that fire
    everywhere. It has no parameters, hence nothing to overfit; see
    docs/benchmarks.md for what it is worth as key of co-attention. Whitening
    by running statistics as in Decorrelated Batch Normalization (CVPR 2018).

    The statistics are cumulative averages (over all ranks), exact for a
    frozen backbone; the directions are computed anew each time the number of
    positions seen has doubled, and before the first use in eval
    mode.

    It can also be the ``neck`` of a stock model: of a tuple of maps only the
    last one is changed, and ``out_channels=in_channels`` keeps its shape.

    Args:
        in_channels (int): Channels of the input, ``C``.
        out_channels (int): Channels of the output, ``D <= C``. Defaults to
            64.
        momentum (float, optional): Weight of a batch in the running
            averages; None for cumulative averages, as in
            ``torch.nn.BatchNorm2d``. Defaults to None.
        eps (float): Added to the eigenvalues, relative to the largest one.
            Defaults to 1e-5.

    Raises:
        InputError: If ``out_channels`` is not within ``1..in_channels``.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int = 64,
                 momentum: Optional[float] = None,
                 eps: float = 1e-5) -> None:
        super().__init__()
        if not 1 <= out_channels <= in_channels:
            raise InputError(f'out_channels of PCAWhitening is {out_channels},'
                             f' must be within 1..{in_channels} (in_channels)')
        self.momentum = momentum
        self.eps = eps
        self.register_buffer('count', torch.zeros((), dtype=torch.float64))
        self.register_buffer('fitted', torch.zeros((), dtype=torch.float64))
        self.register_buffer('mean', torch.zeros(in_channels))
        self.register_buffer('covariance', torch.eye(in_channels))
        self.register_buffer('weight', torch.eye(out_channels, in_channels))
        self._known: Dict[str, float] = {}

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._known.clear()

    def _number(self, name: str) -> float:
        """A counter, kept where asking for it does not wait for a GPU."""
        if name not in self._known:
            self._known[name] = float(getattr(self, name))
        return self._known[name]

    @torch.no_grad()
    def update(self, x: Tensor, valid: Optional[Tensor] = None) -> None:
        """Take the positions of a batch into the running statistics.

        Args:
            x (Tensor): ``(B, C, H, W)``.
            valid (Tensor, optional): ``(B, H, W)``, False on padding.
                Defaults to None.
        """
        seen = self._number('count')
        rows = x.detach().to(self.mean.dtype).permute(0, 2, 3, 1)
        rows = rows.flatten(0, 2) if valid is None else rows[valid.bool()]
        total = torch.full_like(self.count, len(rows))
        mean = rows.sum(0)
        for value in (total, mean):
            all_reduce(value)
        number = total.clamp(min=1).to(mean.dtype)
        mean = mean / number
        # the spread around the batch's own mean: squares of the values would
        # lose it to rounding where the mean is large
        rows = rows - mean
        with no_autocast(x):
            spread = rows.T @ rows
        all_reduce(spread)
        self.count += total
        share = total / self.count.clamp(min=1)
        if self.momentum is not None:
            later = (self.count > total) & (total > 0)
            share = torch.where(later, self.momentum, share)
        both = (share * (1 - share)).to(mean.dtype)
        share = share.to(mean.dtype)
        shift = mean - self.mean
        self.covariance.lerp_(spread / number, share)
        self.covariance += both * torch.outer(shift, shift)
        self.mean += share * shift
        self._known['count'] = seen + len(rows) * get_world_size()
        if valid is not None:  # ranks may have seen more or less
            del self._known['count']

    @torch.no_grad()
    def fit(self) -> None:
        """Compute the directions from the running statistics."""
        values, vectors = torch.linalg.eigh(self.covariance.double())
        keep = self.weight.shape[0]
        values = values[-keep:].clamp(min=0)
        values = values + self.eps * values[-1].clamp(min=1e-12)
        scaled = vectors[:, -keep:] / values.sqrt()
        self.weight.copy_(scaled.T)
        self.fitted.copy_(self.count)
        self._known['fitted'] = self._number('count')

    def settle(self) -> None:
        """Compute the directions unless they are those of the statistics.

        Raises:
            InputError: There are no statistics yet.
        """
        if not self.count:
            raise InputError('PCAWhitening has seen no image: train with '
                             'group_size > 1, or load a checkpoint')
        if self.fitted != self.count:
            self.fit()

    def forward(self,
                x: Union[Tensor, Sequence[Tensor]],
                valid: Optional[Tensor] = None) -> Any:
        """Whiten; while training the statistics move first.

        Args:
            x (Tensor | Sequence[Tensor]): ``(B, C, H, W)``, or stage maps of
                which the last one is whitened.
            valid (Tensor, optional): ``(B, H, W)``, False on padding, which
                the statistics leave out. Defaults to None.

        Returns:
            Tensor | tuple[Tensor]: ``(B, D, H, W)``.

        Raises:
            InputError: If it is used before any training.
        """
        if not isinstance(x, Tensor):
            return (*x[:-1], self.forward(x[-1], valid))
        if self.training:
            self.update(x, valid)
            if self._number('count') >= 2 * self._number('fitted'):
                self.fit()
        else:
            self.settle()
        # a copy: rounds of one step may fit anew before gradients
        return self._project(x, self.weight.detach().clone()).to(x.dtype)

    def _project(self, x: Tensor, weight: Tensor) -> Tensor:
        """Subtract first and in full precision.

        Directions of little variance are stretched, and with them any
        rounding.
        """
        with no_autocast(x):
            full = torch.promote_types(x.dtype, torch.float32)
            centred = x.to(full) - self.mean.to(full)[:, None, None]
            return torch.einsum('dc,bchw->bdhw', weight.to(full), centred)
