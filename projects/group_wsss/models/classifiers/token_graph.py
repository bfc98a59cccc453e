# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, List

import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import Tensor

from ...structures import TokenBank
from ...utils.errors import InputError
from ..heads import GroupCAMHead
from ..necks import CoAttentionGNN
from ..utils import Branch, Inputs, join_maps, own_part, record_sizes


class TokenGraph:
    """One round of messages whose senders lie in a bank.

    Softmax, average and mix are linear in what is sent, and so is the
    classifier: the class maps of a message are the message of class maps.
    A token is thus the key of a cell (``key_channels`` numbers) and its class
    maps without the bias (``num_classes`` numbers), not the hundreds of
    channels of a node; what comes out is the same up to rounding. Cells are
    averages over a grid, as those of ``CoAttention.pool_size``.

    Args:
        bank (TokenBank): Where tokens are.
        pool_size (int): An image sends through at most ``pool_size ** 2``
            tokens.
        use_maps (bool): The maps of a receiver may be read from the bank as
            well; False for scales and flips, of which it has none.
    """

    def __init__(self, bank: TokenBank, pool_size: int,
                 use_maps: bool) -> None:
        self.bank = bank
        self.pool_size = pool_size
        self.use_maps = use_maps

    @staticmethod
    def check(model: Any) -> None:
        """Refuse a model whose messages are not linear.

        Args:
            model (GroupCAM): Its type is right.

        Raises:
            InputError: The key at fault.
        """
        neck, head = model.neck, model.head
        faults = ['neck']
        if isinstance(neck, CoAttentionGNN):
            faults = [f'neck.{key}' for key in neck.beyond_a_mix()]
        if not faults:
            wrong = {
                'neck.self_edge':
                neck.self_edge,
                'neck.aggregation':
                neck.aggregation == 'concat',
                'neck.dropout.active_in_eval':
                getattr(neck.dropout, 'active_in_eval', False),
                'neck.coattention.key':
                neck.coattention.whiten is None,
                'head':
                type(head) is not GroupCAMHead,
                'head.share_classifier':
                getattr(head, 'graph_classifier', None) is not None
            }
            faults = [key for key in wrong if wrong[key]]
        for key in faults:
            raise InputError(
                f'model.{key} does not go with TokenBankHook, which knows '
                'one ungated round (num_steps=1) of whitened or contrast '
                "keys with update='mix': set default_hooks.token_bank=None")

    @torch.no_grad()
    def own_maps(self, model: Any, inputs: Inputs,
                 data_samples: List[DataSample]) -> List[Tensor]:
        """Keys and class maps of images, by a pass through the backbone.

        Args:
            model (GroupCAM): In eval mode.
            inputs (Tensor | Sequence[Tensor]): ``(B, 3, H, W)``, or images
                ``(3, H_i, W_i)``.
            data_samples (list[DataSample]): One per image.

        Returns:
            list[Tensor]: ``(D, h_i, w_i)`` for each image, float32, without
            its padding: the keys, then the class maps without bias.
        """
        feats = model.backbone_maps(inputs)
        record_sizes(inputs, feats, data_samples)
        found: List[Tensor] = []
        for feat in feats:
            nodes = model.neck.project(feat)
            maps = nodes
            if model.head.in_channels is not None:
                maps = F.conv2d(nodes, model.head.classifier.weight)
            coattention = model.neck.coattention
            keys = coattention.whiten(coattention.key_input(nodes))
            found += torch.cat([keys.float(), maps.float()], 1)
        return [own_part(m, s) for m, s in zip(found, data_samples)]

    def tokens(self, model: Any, own: Tensor) -> Tensor:
        """Averages over the cells of a grid.

        Args:
            model (GroupCAM): The model.
            own (Tensor): Of :meth:`own_maps`, ``(D, h, w)``.

        Returns:
            Tensor: ``(M, D)``, keys of length 1 if the model wants that.
        """
        height, width = own.shape[1:]
        size = min(height, self.pool_size), min(width, self.pool_size)
        pooled = F.adaptive_avg_pool2d(own[None], size)[0].flatten(1).T
        return self._normalized(model, pooled)

    @staticmethod
    def _normalized(model: Any, rows: Tensor) -> Tensor:
        if not model.neck.coattention.normalize:
            return rows
        width = rows.shape[1] - model.head.num_classes
        return torch.cat(
            [F.normalize(rows[:, :width], dim=-1), rows[:, width:]], 1)

    def branches(self, model: Any, inputs: Inputs,
                 data_samples: List[DataSample]) -> List[Branch]:
        """Class maps of images before and after messages from the bank.

        Args:
            model (GroupCAM): In eval mode.
            inputs (Tensor | Sequence[Tensor]): See :meth:`own_maps`.
            data_samples (list[DataSample]): With ``bank_places``: the place
                of the image in the bank, -1 if it has none, and those of its
                partners. They get ``map_shape``.

        Returns:
            list[Branch]: As ``GroupCAMHead.branches``.
        """
        head = model.head
        stored: List[Any] = [None] * len(data_samples)
        if self.use_maps:
            stored = [
                self.bank.read_map(s.bank_places[0]) for s in data_samples
            ]
        if any(maps is None for maps in stored):
            # rounded alike, so that labels do not depend on what was stored
            stored = [
                maps.cpu().numpy().astype(self.bank.dtype)
                for maps in self.own_maps(model, inputs, data_samples)
            ]
        found: List[List[Tensor]] = [[], []]
        bias = getattr(head.classifier, 'bias', None)
        for array, sample in zip(stored, data_samples):
            own = torch.from_numpy(array).to(inputs[0].device).float()
            sample.set_metainfo(dict(map_shape=tuple(own.shape[1:])))
            before = own[-head.num_classes:]
            message = self._message(model, own, sample.bank_places[1:])
            after = torch.lerp(before, message, model.neck.gamma)
            for maps, part in zip(found, (before, after)):
                part = part if bias is None else part + bias[:, None, None]
                maps.append(part[None])
        return [
            Branch('', 1.0, maps, head.classifier, maps)
            for maps in map(join_maps, found)
        ]

    def _message(self, model: Any, own: Tensor, partners: List[int]) -> Tensor:
        """What an image receives, ``(C, h, w)``."""
        coattention, classes = model.neck.coattention, model.head.num_classes
        senders = []
        for place in partners:
            tokens = self.bank.read(place)
            assert tokens is not None
            senders.append(torch.from_numpy(tokens.copy()))
        if coattention.softmax == 'group':
            senders = [torch.cat(senders)]
        query = self._normalized(model, own.flatten(1).T)[:, :-classes]
        # one width and four dimensions, as fused kernels want them
        width = max(query.shape[1], classes)
        query = F.pad(query, (0, width - query.shape[1]))[None, None]
        messages = []
        for sender in senders:
            sender = sender.to(own.device).float()
            key, value = [
                F.pad(part, (0, width - part.shape[1])).contiguous()[None,
                                                                     None]
                for part in (sender[:, :-classes], sender[:, -classes:])
            ]
            messages.append(
                F.scaled_dot_product_attention(
                    query, key, value,
                    scale=coattention.scale)[0, 0, :, :classes])
        total = torch.stack(messages).sum(0)
        if model.neck.aggregation == 'mean':
            total = total / len(messages)
        return total.T.unflatten(1, own.shape[1:])
