# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.models.backbones import VisionTransformer
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from .clip_weights import is_clip, translate


def _heads(attn: Any, x: Tensor) -> Tensor:
    """Query, key and value of every head, ``(3, B, heads, N, C)``."""
    parts = attn.qkv(x).unflatten(2, (3, attn.num_heads, -1))
    return parts.permute(2, 0, 3, 1, 4)


@MODELS.register_module()
class DenseCLIP(VisionTransformer):
    """Image tower of CLIP with a text-aligned feature at every position.

    CLIP was trained to compare a text with an image as a whole; its last
    blocks mix the image. In the last ``num_dense`` blocks a second path
    starts from the tokens in front of them and adds, block by block, what
    an attention of tokens to tokens like themselves gives:

    - ``y <- y + proj(A v)``, ``A`` the mean of ``softmax(q q' s)``,
      ``softmax(k k' s)`` and ``softmax(v v' s)`` in each head;
    - ``q``, ``k``, ``v`` of ``ln1(x)`` of the untouched path ``x``; the
      feed-forward layers are left out.

    Then layer norm and the projection to the space of texts. Sources: CLIP
    Surgery (2023) and ExCEL (CVPR 2025), from the equations; docs/words.md.

    Checkpoints with the names of OpenAI and open_clip, transformers,
    mmpretrain and timm load; of both towers the image's is taken.

    Args:
        arch (str | dict): As in ``mmpretrain.VisionTransformer``. Defaults
            to ``'base'``.
        patch_size (int): Pixels a side of a patch. Defaults to 16.
        img_size (int): Pixels a side of the training images; those of other
            sizes resize the position embedding. Defaults to 224.
        text_channels (int): Width of the features, that of the texts.
            Defaults to 512.
        num_dense (int): Blocks with a second path; 0 gives the patch tokens
            of CLIP as they are. Defaults to 5.
        attention (str): Which of q, k and v attend to themselves. Defaults
            to ``'qkv'``.
        class_token (bool): Append the class token's feature to that of each
            position, for ``TextCAMHead(surgery=True)``. Defaults to False.
        num_attention (int): Last blocks whose mean :meth:`attention_maps`
            gives. Defaults to 8.
        quick_gelu (bool): The activation of OpenAI's weights; those of
            open_clip mostly have GELU. Defaults to True.
        **kwargs: Of ``mmpretrain.VisionTransformer``.

    Raises:
        InputError: An option has a value that it cannot have.
    """

    def __init__(self,
                 arch: Any = 'base',
                 patch_size: int = 16,
                 img_size: int = 224,
                 text_channels: int = 512,
                 num_dense: int = 5,
                 attention: str = 'qkv',
                 class_token: bool = False,
                 num_attention: int = 8,
                 quick_gelu: bool = True,
                 **kwargs) -> None:
        act = 'mmpretrain.QuickGELU' if quick_gelu else 'GELU'
        super().__init__(
            arch,
            img_size=img_size,
            patch_size=patch_size,
            norm_cfg=dict(type='LN', eps=1e-5),
            layer_cfgs=dict(act_cfg=dict(type=act)),
            out_type='featmap',
            pre_norm=True,
            **kwargs)
        if not 0 <= num_dense <= self.num_layers:
            raise InputError(f'num_dense of DenseCLIP is {num_dense}, must be '
                             f'in 0..{self.num_layers}')
        if not attention or not set(attention) <= set('qkv'):
            raise InputError(f'attention of DenseCLIP is {attention!r}, must '
                             "be letters of 'qkv'")
        if not 1 <= num_attention:
            raise InputError(f'num_attention of DenseCLIP is {num_attention}, '
                             'must be positive')
        self.num_dense = num_dense
        self.class_token = class_token
        self.num_attention = num_attention
        self.attention = attention
        self.proj = nn.Linear(self.embed_dims, text_channels, bias=False)

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Features of all positions.

        Args:
            x (Tensor): ``(B, 3, H, W)``.

        Returns:
            tuple[Tensor]: One map ``(B, text_channels, h, w)``, not
            normalised; twice as many channels with ``class_token``.
        """
        x, size = self._tokens(x)
        split = self.num_layers - self.num_dense
        for layer in self.layers[:split]:
            x = layer(x)
        dense = x
        for layer in self.layers[split:]:
            dense = dense + self._attend(layer.attn, layer.ln1(x))
            x = layer(x)
        dense = self.proj(self.ln1(dense[:, self.num_extra_tokens:]))
        if self.class_token:
            whole = self.proj(self.ln1(x[:, :1]))
            dense = torch.cat([dense, whole.expand_as(dense)], dim=2)
        return (dense.transpose(1, 2).unflatten(2, size), )

    def attention_maps(self, x: Tensor) -> Tuple[Tensor, Tuple[int, int]]:
        """What each position attends to, in the mean of heads and blocks.

        Of CLIP as it was trained, without the second path; source: CLIP-ES
        (CVPR 2023).

        Args:
            x (Tensor): ``(B, 3, H, W)``.

        Returns:
            tuple[Tensor, tuple[int]]: ``(B, h * w, h * w)``, positive, a row
            for each position; and ``(h, w)``.
        """
        x, size = self._tokens(x)
        found = []
        for number, layer in enumerate(self.layers):
            if number >= self.num_layers - self.num_attention:
                found.append(self._attention(layer.attn, layer.ln1(x)))
            x = layer(x)
        maps = torch.stack(found).mean(0)
        extra = self.num_extra_tokens
        return maps[:, extra:, extra:], size

    @staticmethod
    def _attention(attn: Any, x: Tensor) -> Tensor:
        """Mean of the heads' attention, ``(B, N, N)``."""
        query, key, _ = _heads(attn, x)
        score = query @ key.transpose(2, 3) * key.shape[-1]**-0.5
        return score.softmax(3).mean(1)

    def _tokens(self, x: Tensor) -> Tuple[Tensor, Tuple[int, int]]:
        """Tokens in front of the first block, and the grid of patches."""
        x, size = self.patch_embed(x)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1)
        x = x + self.resize_pos_embed(self.pos_embed, self.patch_resolution,
                                      size, self.interpolate_mode,
                                      self.num_extra_tokens)
        return self.pre_norm(x), tuple(size)

    def _attend(self, attn: Any, x: Tensor) -> Tensor:
        """Values by the attention of tokens to their like, ``(B, N, C)``."""
        chosen = dict(zip('qkv', _heads(attn, x)))
        mixed = torch.stack([
            F.scaled_dot_product_attention(chosen[name], chosen[name],
                                           chosen['v'])
            for name in self.attention
        ])
        return attn.proj(mixed.mean(0).transpose(1, 2).flatten(2))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args,
                              **kwargs) -> None:
        own = {
            key[len(prefix):]: value
            for key, value in state_dict.items() if key.startswith(prefix)
        }
        if is_clip(own):
            for key in own:
                del state_dict[prefix + key]
            for key, value in translate(own).items():
                state_dict[prefix + key] = value
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
