# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Dict, List, Optional, Tuple

import torch
from mmengine.model import BaseModule
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..layers import CoAttention


class GraphRounds(BaseModule):
    """What ``CoAttentionGNN``, which builds the parts, does with nodes."""

    def rounds(self, x: Tensor, k: int, key_mask: Optional[Tensor],
               anchors_only: bool, values: Optional[Tensor]) -> Tensor:
        """All rounds of whole groups, see ``CoAttentionGNN.propagate``."""
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

    def beyond_a_mix(self) -> List[str]:
        """Name the options by which a graph is more than one ungated mix.

        Returns:
            list[str]: Keys of the config; empty if what comes out of the
            graph is linear in what is sent. A class derived from the neck
            may do more to features: ``['type']``.
        """
        if GraphRounds not in type(self).__bases__:
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
