# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from ..utils import check_choice
from .contrast_keys import ContrastKeys
from .pca_whitening import PCAWhitening
from .positional_debias import PositionalDebias


def _senders(group_size: int, self_edge: bool, device: torch.device) -> Tensor:
    """Who sends to each image, ``(K, S)``, in the order of their index."""
    if self_edge:
        return torch.arange(group_size, device=device).expand(group_size, -1)
    senders = torch.arange(group_size - 1, device=device)
    receivers = torch.arange(group_size, device=device)[:, None]
    return senders + (senders >= receivers).long()


@MODELS.register_module()
class CoAttention(BaseModule):
    """Messages between all images of a group by factorised co-attention.

    ``m_ji = g(softmax_j((P h_i)^T (Q h_j)) h_j)``: every position of image i
    receives a convex combination of the positions of image j. P and Q are
    two 1x1 convolutions shared by all pairs; ``g`` is a gate with one value
    per position, ``g(m) = sigmoid(w m) m``. Equations 1 to 3 of
    docs/method.md (Group-Wise Semantic Mining, AAAI 2021).

    All pairs of all groups are one ``scaled_dot_product_attention`` call, so
    the memory grows with the pixels and not with their square.

    Two choices beside the paper's, measured in docs/benchmarks.md. With
    ``softmax='group'`` the positions of all senders compete in one softmax,
    so that a partner with nothing alike is not heard. With
    ``key='whitened'`` P = Q is a ``PCAWhitening``: nothing to overfit where
    images are few. With ``key='contrast'`` it starts there and learns what
    is the same thing in two images, see ``ContrastKeys``.

    Args:
        in_channels (int): Channels of a node, ``C``.
        key_channels (int, optional): Channels of P and Q. Defaults to None,
            which means ``C // 2`` (at least 1), as released.
        scale (float): Factor on the scores before the softmax. Defaults to
            1.0, as released.
        normalize (bool): Divide queries and keys by their length; the score
            is then ``scale`` times the cosine. Defaults to False.
        bias (bool): Whether P and Q have a bias. Defaults to False.
        gate (bool): Whether messages are gated. Defaults to True.
        self_edge (bool): Whether an image also sends to itself. Defaults to
            False.
        key (str): ``'learned'`` convolutions P and Q, ``'whitened'`` or
            ``'contrast'``. Defaults to ``'learned'``.
        softmax (str): Over the positions of each ``'sender'`` on its own, as
            released, or of the whole ``'group'``. Defaults to ``'sender'``.
        whitening (dict, optional): Options of ``PCAWhitening`` or
            ``ContrastKeys``, such as ``momentum`` for a backbone that trains.
            Defaults to None.
        debias (dict, optional): Options of ``PositionalDebias`` for what
            queries and keys are made of, the values stay; for a frozen
            vision transformer. Defaults to None, off.
        pool_size (int, optional): A sender sends through at most
            ``pool_size ** 2`` tokens: its keys and values are averaged over
            the cells of such a grid. The cost of a receiving position then
            does not depend on the size of the maps. Defaults to None: every
            position sends.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        InputError: If an option has a value that it cannot have.
    """

    def __init__(self,
                 in_channels: int,
                 key_channels: Optional[int] = None,
                 scale: float = 1.0,
                 normalize: bool = False,
                 bias: bool = False,
                 gate: bool = True,
                 self_edge: bool = False,
                 key: str = 'learned',
                 softmax: str = 'sender',
                 whitening: Optional[dict] = None,
                 debias: Optional[dict] = None,
                 pool_size: Optional[int] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if key_channels is None:
            key_channels = max(in_channels // 2, 1)
        if key_channels < 1:
            raise InputError(
                f'key_channels of CoAttention is {key_channels}, must be >= 1')
        if pool_size is not None and pool_size < 1:
            raise InputError(
                f'pool_size of CoAttention is {pool_size}, must be >= 1')
        check_choice('CoAttention', 'key', key,
                     ('learned', 'whitened', 'contrast'))
        check_choice('CoAttention', 'softmax', softmax, ('sender', 'group'))
        self.in_channels = in_channels
        self.softmax = softmax
        self.pool_size = pool_size
        self.scale = float(scale)
        self.normalize = normalize
        self.self_edge = self_edge
        self.debias: Any = None
        if debias is not None:
            self.debias = PositionalDebias(in_channels, **debias)
            left = in_channels - self.debias.rank
            if left < key_channels:
                raise InputError(
                    f'debias of CoAttention leaves {left} of {in_channels} '
                    f'directions to key_channels={key_channels}: set its rank')
        self.whiten: Any = None
        self.query: Any = None
        self.key: Any = None
        if key != 'learned':
            kind = PCAWhitening if key == 'whitened' else ContrastKeys
            self.whiten = kind(in_channels, key_channels, **(whitening or {}))
        else:
            self.query = nn.Conv2d(in_channels, key_channels, 1, bias=bias)
            self.key = nn.Conv2d(in_channels, key_channels, 1, bias=bias)
        self.gate = nn.Conv2d(in_channels, 1, 1, bias=False) if gate else None

    def key_input(self, nodes: Tensor) -> Tensor:
        """Give what queries and keys are made of.

        Args:
            nodes (Tensor): Node states ``(B, C, H, W)``.

        Returns:
            Tensor: The same shape; ``nodes`` itself without ``debias``.
        """
        return nodes if self.debias is None else self.debias(nodes)

    def _tokens(self, maps: Tensor, group_size: int) -> Tensor:
        """``(G * K, D, H, W)`` to ``(G, K, H * W, D)``, ready to be dotted."""
        tokens = maps.flatten(2).transpose(1, 2).contiguous()
        if self.normalize:
            tokens = F.normalize(tokens, dim=-1)
        return tokens.unflatten(0, (-1, group_size))

    def _widen(self, query: Tensor, key: Tensor, value: Tensor,
               mask: Optional[Tensor],
               senders: int) -> Tuple[Tensor, Tensor, Tensor]:
        """Bring query, key and value to one width, as fused kernels want it.

        Narrow keys are left as they are where the matrix of attention is no
        larger than twice the messages: multiplying it out is then cheaper
        than products of channels that are 0.

        A channel that is 1 in queries holds the mask in keys: a boolean mask
        would be expanded to every pair of positions. ``senders`` share a
        softmax.
        """
        if mask is not None:
            lowest = torch.finfo(key.dtype).max / 8 / max(self.scale, 1.)
            hidden = torch.where(mask, 0., -min(lowest, 1e30)).to(key.dtype)
            query = torch.cat([query, torch.ones_like(query[..., :1])], -1)
            key = torch.cat([key, hidden.unsqueeze(-1)], -1)
        width = max(query.shape[-1], value.shape[-1])
        if (width >= 4 * query.shape[-1]
                and senders * key.shape[-2] <= 2 * width):
            return query, key, value
        if query.shape[-1] < width:
            missing = (0, width - query.shape[-1])
            query, key = F.pad(query, missing), F.pad(key, missing)
        return query, key, F.pad(value, (0, width - value.shape[-1]))

    def _pool(self, maps: Tensor, valid: Optional[Tensor] = None) -> Tensor:
        """Averages over the cells of a grid; 0 where all is padding."""
        assert self.pool_size is not None
        height, width = maps.shape[2:]
        size = min(height, self.pool_size), min(width, self.pool_size)
        if valid is None:
            return F.adaptive_avg_pool2d(maps, size)
        share = valid.unsqueeze(1).to(maps.dtype)
        total = F.adaptive_avg_pool2d(maps * share, size)
        share = F.adaptive_avg_pool2d(share, size)
        return total / torch.where(share > 0, share, torch.ones_like(share))

    def forward(self,
                nodes: Tensor,
                key_mask: Optional[Tensor] = None,
                num_receivers: Optional[int] = None,
                values: Optional[Tensor] = None) -> Tensor:
        """Messages from every sender to every receiver.

        Args:
            nodes (Tensor): Node states ``(G, K, C, H, W)``.
            key_mask (Tensor, optional): ``(G, K, H, W)``, True where a
                position belongs to the image and not to its padding. Every
                image needs one such position. Defaults to None.
            num_receivers (int, optional): Only the first so many images of
                a group receive, ``R``. Defaults to None, which means all K.
            values (Tensor, optional): What is sent, ``(G, K, D, H, W)``;
                the gate wants ``D = C``. Defaults to None, the nodes.

        Returns:
            Tensor: ``(G, R, S, D, H, W)``: for each image the messages of
            the ``S`` others in the order of their index. ``S`` is
            ``K - 1``, or ``K`` with self edges; 1 with ``softmax='group'``.
        """
        groups, k, _, h, w = nodes.shape
        flat = nodes.flatten(0, 1)
        sent = flat if values is None else values.flatten(0, 1)
        c = sent.shape[1]
        count = num_receivers or k
        senders = _senders(k, self.self_edge, nodes.device)[:count]
        valid = None if key_mask is None else key_mask.flatten(0, 1).bool()
        keyed = self.key_input(flat)
        if self.whiten is not None:
            query = key = self.whiten(keyed, valid)
        else:
            query, key = self.query(keyed), self.key(keyed)
        value, mask = sent, valid
        if self.pool_size is not None:
            key, value = self._pool(key, valid), self._pool(sent, valid)
            mask = None if valid is None else self._pool(valid[:, None].to(
                flat.dtype))[:, 0] > 0
        query, key = self._tokens(query, k), self._tokens(key, k)
        # contiguous: a fused kernel wants the channels of a token together
        value = value.flatten(2).transpose(1, 2).contiguous()
        value = value.to(query.dtype).unflatten(0, (-1, k))
        if mask is not None:
            mask = mask.flatten(1).unflatten(0, (-1, k))
        joined = senders.shape[1] if self.softmax == 'group' else 1
        query, key, value = self._widen(query[:, :count], key, value, mask,
                                        joined)
        senders = senders.flatten()  # receiver by receiver
        key, value = key[:, senders], value[:, senders]
        if self.softmax == 'sender':
            # images are the batch, senders the heads: the query is a view
            # lists: torch.compile of torch 2.1 unpacks no generator
            key, value = [
                t.reshape(groups * count, -1, *t.shape[2:])
                for t in (key, value)
            ]
            query = query.reshape(groups * count, 1, *query.shape[2:])
            query = query.expand(-1, key.shape[1], -1, -1)
        else:  # (G, R, S * M, ...): all senders of an image in a row
            key, value = [
                t.reshape(groups, count, -1, t.shape[-1]) for t in (key, value)
            ]
        messages = F.scaled_dot_product_attention(
            query, key, value, scale=self.scale)[..., :c]
        if self.gate is not None:
            # channels are last, where a 1x1 convolution is a product
            messages = messages * torch.sigmoid(
                F.linear(messages, self.gate.weight.flatten(1)))
        # a view: a copy would be as large as all that is sent
        messages = messages.transpose(2, 3).reshape(groups, count, -1, c,
                                                    h * w)
        return messages.unflatten(4, (h, w))
