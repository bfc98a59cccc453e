# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ...registry import MODELS
from ...utils.errors import InputError
from ..layers import CoAttention, ContrastKeys
from ..losses import SeedContrast
from ..utils import check_choice


def _build(kind: str, options: Optional[dict], **given: Any) -> Any:
    return MODELS.build({
        'type': f'group_wsss.{kind}',
        **given,
        **(options or {})
    })


@MODELS.register_module()
class CoAttentionGNN(BaseModule):
    """Graph of co-attention over the images of a group.

    T times: messages between all images (``CoAttention``), aggregation,
    update, graph dropout. All steps share their weights. Source: Group-Wise
    Semantic Mining (AAAI 2021), docs/method.md.

    ``GroupCAM`` calls :meth:`project`, whose maps its head reads before the
    graph, and :meth:`propagate`, whose maps the head reads after it. As neck
    of another model it changes one map of the tuple.

    Where nothing can be exchanged (``num_steps=0``, or groups of one without
    self edges) the input object itself is returned; under DDP such a model
    has unused parameters: set ``find_unused_parameters=True``, as a config
    with ``group_size=1`` does by itself. In a model that does not say who
    stands together, groups are ``group_size`` neighbours of a training
    batch, and single images in eval mode: what shares a batch at inference,
    such as the crops of slide inference, is an accident. A segmentor trained
    in groups thus needs ``self_edge=True``.

    Args:
        in_channels (int): Channels of the map that is changed.
        num_steps (int): Rounds T. Defaults to 3.
        group_size (int, optional): Neighbours in the batch that form a group
            while training, K, where samples do not tell. Defaults to None,
            groups of one.
        projection (dict, optional): Options of ``group_wsss.Projection``:
            convolutions between backbone and graph. Defaults to None, none.
        channels (int, optional): Node width. If given, a 1x1 convolution
            leads there and a second one back, added to the input: for wide
            backbones. Defaults to None, the nodes are the map itself.
        zero_init (bool): Start the convolution back at zero, the graph then
            starts as the identity. Only with ``channels``. Defaults to True.
        aggregation (str): ``'mean'`` or ``'sum'`` over the senders, for any
            K; or ``'concat'``, as released: the messages in the order of
            their index through a 3x3 convolution, which fixes K to
            ``group_size``. Defaults to ``'mean'``.
        self_edge (bool): An image also sends to itself; a group of one is
            then no identity. Defaults to False.
        coattention (dict, optional): Changes to
            ``dict(type='group_wsss.CoAttention')``. Defaults to None.
        update (str): ``'gru'``; ``'residual'`` for ``h + gamma * message``
            with a learnt number gamma; or ``'mix'`` for ``h + gamma *
            (message - h)`` with a fixed one. Defaults to ``'gru'``.
        gru (dict, optional): Changes to ``dict(type='group_wsss.ConvGRU',
            kernel_size=1)``. Defaults to None.
        gamma_init (float): Start of gamma, or its value. Defaults to 1.0.
        dropout (dict, optional): Module after each update. Defaults to
            ``dict(type='group_wsss.GraphDropout')``; None for nothing.
        contrast (dict, optional): Options of ``SeedContrast``, the loss of
            ``coattention.key='contrast'``. Defaults to None.
        with_cp (bool): Gradient checkpointing of each step. Defaults to
            False.
        in_index (int): Place of the map that is changed, as a decode head of
            mmseg counts them. Defaults to -1, the last one.
        init_cfg (dict, optional): Initialization config. Defaults to None.
    """

    def __init__(self,
                 in_channels: int,
                 num_steps: int = 3,
                 group_size: Optional[int] = None,
                 projection: Optional[dict] = None,
                 channels: Optional[int] = None,
                 zero_init: bool = True,
                 aggregation: str = 'mean',
                 self_edge: bool = False,
                 coattention: Optional[dict] = None,
                 update: str = 'gru',
                 gru: Optional[dict] = None,
                 gamma_init: float = 1.0,
                 dropout: Optional[dict] = dict(
                     type='group_wsss.GraphDropout'),
                 contrast: Optional[dict] = None,
                 with_cp: bool = False,
                 in_index: int = -1,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        check_choice('CoAttentionGNN', 'aggregation', aggregation,
                     ('mean', 'sum', 'concat'))
        check_choice('CoAttentionGNN', 'update', update,
                     ('gru', 'residual', 'mix'))
        if (group_size is not None and group_size < 1) or num_steps < 0:
            raise InputError(
                'CoAttentionGNN needs group_size >= 1 and num_steps >= 0, got '
                f'{group_size} and {num_steps}')
        self.in_channels = in_channels
        self.projection = None
        if projection is not None:
            self.projection = _build(
                'Projection', projection, in_channels=in_channels)
            in_channels = self.projection.out_channels
        self.out_channels = in_channels
        self.num_steps = num_steps
        self.group_size = group_size
        self.aggregation = aggregation
        self.self_edge = self_edge
        self.with_cp = with_cp
        self.in_index = in_index
        self.update = update
        self.reduce = self.expand = self.merge = None
        self.gru = self.dropout = self.contrast = None
        self.gamma: Any = None
        if num_steps == 0:
            return
        width = channels or in_channels
        if channels:
            self.reduce = nn.Conv2d(in_channels, width, 1, bias=False)
            self.expand = nn.Conv2d(width, in_channels, 1, bias=False)
            if zero_init:
                nn.init.zeros_(self.expand.weight)
        self.coattention = _build(
            'CoAttention', coattention, in_channels=width, self_edge=self_edge)
        whiten = getattr(self.coattention, 'whiten', None)
        if with_cp and whiten is not None:
            raise InputError('with_cp of CoAttentionGNN does not go with '
                             "key='whitened': statistics would count twice")
        if (getattr(self.coattention, 'debias', None) is not None
                and (channels or projection is not None)):
            raise InputError('coattention.debias of CoAttentionGNN reads the '
                             'map of the backbone: leave projection and '
                             'channels out')
        if aggregation == 'concat':
            check_choice('CoAttentionGNN', 'coattention.softmax',
                         getattr(self.coattention, 'softmax', 'sender'),
                         ('sender', ))
            senders = (group_size or 1) - (not self_edge)
            if senders > 0:
                self.merge = nn.Conv2d(senders * width, width, 3, padding=1)
        if update == 'gru':
            self.gru = _build('ConvGRU', gru, channels=width)
        elif update == 'residual':
            self.gamma = nn.Parameter(torch.tensor(float(gamma_init)))
        else:
            self.gamma = float(gamma_init)
        if dropout is not None:
            self.dropout = MODELS.build(dropout)
        if isinstance(whiten, ContrastKeys):
            self.contrast = SeedContrast(**(contrast or {}))
        elif contrast is not None:
            raise InputError('contrast of CoAttentionGNN needs '
                             "coattention.key='contrast'")

    def beyond_a_mix(self) -> List[str]:
        """Name the options by which a graph is more than one ungated mix.

        Returns:
            list[str]: Keys of the config; empty if what comes out of the
            graph is linear in what is sent. A class derived from the neck
            may do more to features: ``['type']``.
        """
        if type(self) is not CoAttentionGNN:
            return ['type']
        if self.num_steps != 1:
            return ['num_steps']
        wrong = {
            'update': self.update != 'mix',
            'channels': self.reduce is not None,
            'coattention.gate': getattr(self.coattention, 'gate', None)
            is not None
        }
        return [key for key in wrong if wrong[key]]

    @property
    def is_average(self) -> bool:
        """Whether a map after the graph is an average of those before it.

        A classifier of positions may then come before the graph: it gives
        the same class maps, and a tenth of the channels are sent.
        """
        return (not self.beyond_a_mix()
                and type(self.coattention) is CoAttention
                and self.dropout is None
                and (self.aggregation == 'mean'
                     or self.coattention.softmax == 'group'))

    def has_graph(self, group_size: int) -> bool:
        """Tell if groups of this size exchange anything.

        Args:
            group_size (int): Images of a group, K.

        Returns:
            bool: False if :meth:`propagate` is the identity.
        """
        return self.num_steps > 0 and (group_size > 1 or self.self_edge)

    def forward(self,
                feats: Sequence[Tensor],
                group_size: Optional[int] = None) -> Sequence[Tensor]:
        """Work as the neck of any model.

        Args:
            feats (Sequence[Tensor]): Stage maps; the one at ``in_index`` is
                ``(B, C, H, W)``, group members side by side.
            group_size (int, optional): K of this batch. Defaults to None:
                that of the neck while training, 1 in eval mode.

        Returns:
            Sequence[Tensor]: The maps with that one replaced; ``feats``
            itself where nothing changes.

        Raises:
            InputError: There is no map at ``in_index``, it has another number
                of channels, or a training batch is no whole groups.
        """
        if not -len(feats) <= self.in_index < len(feats):
            raise InputError(f'in_index of CoAttentionGNN is {self.in_index}, '
                             f'but the backbone gives {len(feats)} map(s)')
        size = group_size or ((self.group_size if self.training else 1) or 1)
        x = feats[self.in_index]
        x = self.project(x)
        if self.projection is None and not self.has_graph(size):
            return feats
        maps = list(feats)
        maps[self.in_index] = self.propagate(x, size)
        return tuple(maps)

    def project(self, feat: Tensor) -> Tensor:
        """Give the map that the graph, and a classifier before it, reads.

        Args:
            feat (Tensor): Map of the backbone, ``(B, in_channels, H, W)``.

        Returns:
            Tensor: ``(B, out_channels, H, W)``; ``feat`` itself without
            ``projection``.

        Raises:
            InputError: It has another number of channels.
        """
        if feat.dim() != 4 or feat.shape[1] != self.in_channels:
            raise InputError(
                f'in_channels of CoAttentionGNN is {self.in_channels}, but '
                f'the backbone gives a map of shape {tuple(feat.shape)}')
        return feat if self.projection is None else self.projection(feat)

    def propagate(self,
                  x: Tensor,
                  group_size: int,
                  key_mask: Optional[Tensor] = None,
                  anchors_only: bool = False,
                  values: Optional[Tensor] = None) -> Tensor:
        """Exchange messages inside each group of K neighbours.

        Args:
            x (Tensor): Of :meth:`project`, ``(B, out_channels, H, W)``,
                group members side by side.
            group_size (int): K of this batch.
            key_mask (Tensor, optional): ``(B, H, W)``, False on padding,
                which neither sends nor receives. Defaults to None.
            anchors_only (bool): Only the first image of each group receives
                in the last round, which costs K times less. Defaults to
                False.
            values (Tensor, optional): What is exchanged, ``(B, D, H, W)``,
                ``x`` only telling who hears whom; only if
                :attr:`is_average`. Defaults to None, ``x``.

        Returns:
            Tensor: The shape of the values; these themselves where nothing
            is exchanged. In eval mode images beyond the last whole group are
            groups of one.

        Raises:
            InputError: A training batch is no whole groups, or
                ``aggregation='concat'`` was made for another K.
        """
        k = group_size
        assert values is None or self.is_average, (
            'values can be exchanged by one ungated average alone')
        if not self.has_graph(k):
            return x if values is None else values
        if self.aggregation == 'concat' and k != (self.group_size or 1):
            raise InputError("aggregation='concat' of CoAttentionGNN has "
                             f'group_size {self.group_size}, got {k}')
        rest = x.shape[0] % k
        if not rest:
            return self._rounds(x, k, key_mask, anchors_only, values)
        if self.training:
            raise InputError(
                f'a batch of {x.shape[0]} images cannot be split into groups '
                f'of group_size {k}: set the batch size, drop_last=True, or '
                'batch_sampler.type=group_wsss.GroupBatchSampler')
        parts = []
        whole = x.shape[0] - rest
        for part, size in ((slice(whole), k), (slice(whole, None), 1)):
            nodes = x[part]
            sent = None if values is None else values[part]
            if (len(nodes) and self.has_graph(size)
                    and (self.merge is None or size == k)):
                mask = None if key_mask is None else key_mask[part]
                sent = self._rounds(nodes, size, mask, anchors_only, sent)
            parts.append(nodes if sent is None else sent)
        return torch.cat(parts)

    def _rounds(self, x: Tensor, k: int, key_mask: Optional[Tensor],
                anchors_only: bool, values: Optional[Tensor]) -> Tensor:
        """All rounds of whole groups, see :meth:`propagate`."""
        state = x if self.reduce is None else self.reduce(x)
        if key_mask is not None:
            state = state * key_mask.unsqueeze(1).to(state.dtype)
        for step in range(self.num_steps):
            last = step + 1 == self.num_steps
            args = state, k, key_mask, 1 if anchors_only and last else k
            if values is not None:
                state = self._step(*args, values)
            elif self.with_cp and torch.is_grad_enabled():
                state = checkpoint(self._step, *args, use_reentrant=False)
            else:
                state = self._step(*args)
        return state if self.expand is None else x + self.expand(state)

    def _step(self,
              state: Tensor,
              k: int,
              key_mask: Optional[Tensor],
              count: int,
              values: Optional[Tensor] = None) -> Tensor:
        """One round; the first ``count`` images of each group receive."""
        keyed = nodes = state.unflatten(0, (-1, k))
        sent: Tuple[Tensor, ...] = ()
        if values is not None:
            nodes = values.unflatten(0, (-1, k))
            sent = (nodes, )
        masks = None if key_mask is None else key_mask.unflatten(0, (-1, k))
        # (G * count, S, C, H, W)
        messages = self.coattention(keyed, masks, count, *sent).flatten(0, 1)
        state = nodes[:, :count].flatten(0, 1)
        if masks is not None:
            # kernels wider than 1 would carry them into the image
            masks = masks[:, :count].flatten(0, 1)
            valid = masks.unsqueeze(1).to(state.dtype)
            messages = messages * valid.unsqueeze(1)
        if self.merge is not None:
            message = self.merge(messages.flatten(1, 2))
        elif self.aggregation == 'mean':
            message = messages.mean(1)
        else:
            message = messages.sum(1)
        if masks is not None:
            message = message * valid  # the bias of merge
        if self.gru is not None:
            state = self.gru(message, state)
        elif self.update == 'residual':
            state = state + self.gamma * message
        else:
            state = torch.lerp(state, message.to(state.dtype), self.gamma)
        if masks is not None:
            state = state * valid
        if self.dropout is not None:
            state = self.dropout(*((state, ) if masks is None else (state,
                                                                    masks)))
        if count == k:
            return state
        state = state.unflatten(0, (-1, count))
        return torch.cat([state, nodes[:, count:]], 1).flatten(0, 1)

    def loss(self,
             x: Tensor,
             maps: Tensor,
             valid: Optional[Tensor] = None) -> Dict[str, Tensor]:
        """Calculate the loss of keys that learn by contrast.

        Args:
            x (Tensor): Of :meth:`project`, ``(B, out_channels, H, W)``.
            maps (Tensor): Of ``GroupCAMHead.tag_maps``, ``(B, C, H, W)``.
            valid (Tensor, optional): ``(B, H, W)``, False on padding.
                Defaults to None.

        Returns:
            dict[str, Tensor]: ``loss_contrast``; empty for other keys.
        """
        if self.contrast is None:
            return {}
        nodes = x if self.reduce is None else self.reduce(x)
        coattention = self.coattention
        keys = coattention.whiten.embed(coattention.key_input(nodes))
        return dict(loss_contrast=self.contrast(keys, maps, valid))
