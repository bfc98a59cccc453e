# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from ...errors import InputError
from ...registry import MODELS
from .pca_whitening import PCAWhitening


def pair_index(group_size: int, self_edge: bool,
               device: torch.device) -> Tuple[Tensor, Tensor]:
    """Receiver and sender of every edge of the complete graph.

    Args:
        group_size (int): Images of one group, ``K``.
        self_edge (bool): Whether an image also sends to itself.
        device (torch.device): Where the indices live.

    Returns:
        tuple[Tensor, Tensor]: Receivers and senders, each ``(K * S, )`` with
        ``S = K - 1`` (``K`` with self edges): receiver by receiver, senders
        in the order of their index.
    """
    receivers = torch.arange(group_size, device=device)[:, None]
    if self_edge:
        senders = torch.arange(group_size, device=device)[None]
        senders = senders.expand(group_size, -1)
    else:
        senders = torch.arange(group_size - 1, device=device)[None]
        senders = senders + (senders >= receivers).long()
    return receivers.expand_as(senders).flatten(), senders.flatten()


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
    photographs are few.

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
        key (str): ``'learned'`` convolutions P and Q, or ``'whitened'``.
            Defaults to ``'learned'``.
        softmax (str): Over the positions of each ``'sender'`` on its own, as
            released, or of the whole ``'group'``. Defaults to ``'sender'``.
        whitening (dict, optional): Options of ``PCAWhitening``, such as
            ``momentum`` for a backbone that trains. Defaults to None.
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
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if key_channels is None:
            key_channels = max(in_channels // 2, 1)
        if key_channels < 1:
            raise InputError(
                f'key_channels of CoAttention is {key_channels}, must be >= 1')
        for name, value, allowed in (('key', key, ('learned', 'whitened')),
                                     ('softmax', softmax, ('sender',
                                                           'group'))):
            if value not in allowed:
                raise InputError(f"{name} of CoAttention is '{value}', must "
                                 f'be one of {", ".join(allowed)}')
        self.in_channels = in_channels
        self.softmax = softmax
        self.scale = float(scale)
        self.normalize = normalize
        self.self_edge = self_edge
        self.whiten = self.query = self.key = None
        if key == 'whitened':
            self.whiten = PCAWhitening(in_channels, key_channels,
                                       **(whitening or {}))
        else:
            self.query = nn.Conv2d(in_channels, key_channels, 1, bias=bias)
            self.key = nn.Conv2d(in_channels, key_channels, 1, bias=bias)
        self.gate = nn.Conv2d(in_channels, 1, 1, bias=False) if gate else None

    def _tokens(self, maps: Tensor, group_size: int) -> Tensor:
        """``(G * K, D, H, W)`` to ``(G, K, H * W, D)``, ready to be dotted.

        Zeros are appended up to the width of the values: the scores stay
        the same, and the fused kernels need one width for all three.
        """
        tokens = maps.flatten(2).transpose(1, 2).contiguous()
        if self.normalize:
            tokens = F.normalize(tokens, dim=-1)
        missing = self.in_channels - tokens.shape[-1]
        if missing > 0:
            tokens = F.pad(tokens, (0, missing))
        return tokens.unflatten(0, (-1, group_size))

    def forward(self,
                nodes: Tensor,
                key_mask: Optional[Tensor] = None,
                num_receivers: Optional[int] = None) -> Tensor:
        """Messages from every sender to every receiver.

        Args:
            nodes (Tensor): Node states ``(G, K, C, H, W)``.
            key_mask (Tensor, optional): ``(G, K, H, W)``, True where a
                position belongs to the image and not to its padding. Every
                image needs one such position. Defaults to None.
            num_receivers (int, optional): Only the first so many images of
                a group receive, ``R``. Defaults to None, which means all K.

        Returns:
            Tensor: ``(G, R, S, C, H, W)``: for each image the messages of
            the ``S`` others in the order of their index. ``S`` is
            ``K - 1``, or ``K`` with self edges; 1 with ``softmax='group'``.
        """
        groups, k, c, h, w = nodes.shape
        flat = nodes.flatten(0, 1)
        count = num_receivers or k
        receivers, senders = pair_index(k, self.self_edge, nodes.device)
        edges = len(senders) // k * count  # receiver by receiver
        receivers, senders = receivers[:edges], senders[:edges]
        if self.whiten is not None:
            mask = None if key_mask is None else key_mask.flatten(0, 1)
            query = key = self._tokens(self.whiten(flat, mask), k)
        else:
            query = self._tokens(self.query(flat), k)
            key = self._tokens(self.key(flat), k)
        # contiguous: a fused kernel wants the channels of a token together
        value = nodes.flatten(3).transpose(2, 3).contiguous()
        key, value = key[:, senders], value.to(query.dtype)[:, senders]
        mask = None
        if key_mask is not None:
            mask = key_mask.bool().flatten(2)[:, senders].unsqueeze(2)
        if self.softmax == 'sender':
            query = query[:, receivers]
        else:  # (G, R, S * H * W, ...): all senders of an image in a row
            query = query[:, :count]
            key, value = (
                t.reshape(groups, count, -1, t.shape[-1])
                for t in (key, value))
            mask = None if mask is None else mask.reshape(groups, count, 1, -1)
        if mask is not None:
            mask = mask.expand(-1, -1, h * w, -1)
        messages = F.scaled_dot_product_attention(
            query, key, value, mask, scale=self.scale)
        messages = messages.transpose(2, 3).reshape(-1, c, h, w)
        if self.gate is not None:
            messages = torch.sigmoid(self.gate(messages)) * messages
        return messages.view(groups, count, -1, c, h, w)
