# Copyright (c) group_wsss contributors. All rights reserved.
"""Weights of CLIP's image tower under the names of ``DenseCLIP``."""
import hashlib
import re
from typing import Any, Dict, Mapping

import torch
from torch import Tensor

# how names of the image tower begin where a file holds both towers
_IMAGE = ('visual.', 'vision_model.', 'visual_projection.', 'visual_proj.')
# an image tower of timm has no such prefix
_TIMM = 'norm_pre.weight'
# in this order, on names without `visual.` and `vision_model.`
_RENAMES = [(re.compile(pattern), name) for pattern, name in (
    (r'^(embeddings\.)?class_embedding$', 'cls_token'),
    (r'^positional_embedding$', 'pos_embed'),
    (r'^embeddings\.position_embedding\.weight$', 'pos_embed'),
    (r'^(conv1|embeddings\.patch_embedding|patch_embed\.proj)\.',
     'patch_embed.projection.'),
    (r'^(ln_pre|pre_layrnorm|norm_pre)\.', 'pre_norm.'),
    (r'^(ln_post|post_layernorm|norm)\.', 'ln1.'),
    (r'^(visual_projection|head)\.weight$', 'proj.weight'),
    (r'^(transformer\.resblocks|encoder\.layers|blocks)\.', 'layers.'),
    (r'\.(ln_|layer_norm|norm)([12])\.', r'.ln\2.'),
    (r'\.attn\.in_proj_', '.attn.qkv.'),
    (r'\.(attn|self_attn)\.out_proj\.', '.attn.proj.'),
    (r'\.mlp\.(c_fc|fc1)\.', '.ffn.layers.0.0.'),
    (r'\.mlp\.(c_proj|fc2)\.', '.ffn.layers.1.'),
)]
_QUERY = re.compile(r'(.*)\.self_attn\.q_proj\.(weight|bias)$')


def is_clip(names: Any) -> bool:
    """Tell whether names are those of a CLIP, as somebody else has them.

    Args:
        names (Iterable[str]): Of weights.

    Returns:
        bool: True for the names of OpenAI and open_clip, transformers,
        mmpretrain and timm.
    """
    return any(name.startswith(_IMAGE) or name == _TIMM for name in names)


def translate(weights: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Give weights of the image tower the names of ``DenseCLIP``.

    Known are OpenAI and open_clip, transformers, mmpretrain
    (``CLIPZeroShot``) and timm (``vit_*_clip_*``).

    Args:
        weights (Mapping[str, Tensor]): Of a whole CLIP, or a tower of timm.

    Returns:
        dict[str, Tensor]: The image tower alone. Names that none of them
        has stay as they are.
    """
    if _TIMM not in weights:
        weights = {k: v for k, v in weights.items() if k.startswith(_IMAGE)}
    found: Dict[str, Tensor] = {}
    for name, value in weights.items():
        query = _QUERY.match(name)
        if query is not None:  # transformers has three layers for one
            value = torch.cat([
                weights[f'{query[1]}.self_attn.{part}_proj.{query[2]}']
                for part in 'qkv'
                if f'{query[1]}.self_attn.{part}_proj.{query[2]}' in weights
            ])
            name = f'{query[1]}.attn.qkv.{query[2]}'
        elif re.search(r'\.self_attn\.[kv]_proj\.', name):
            continue
        if name in ('visual.proj', 'visual_proj.proj'):
            name, value = 'proj.weight', value.t()
        name = re.sub(r'^(visual|vision_model)\.', '', name)
        for pattern, ours in _RENAMES:
            name = pattern.sub(ours, name)
        if name in ('cls_token', 'pos_embed'):
            value = value.reshape(1, -1, value.shape[-1])
        found[name] = value
    return found


def fingerprint(projection: Tensor) -> str:
    """Name a CLIP by its image projection, whatever its file looks like.

    Args:
        projection (Tensor): ``(text_channels, embed_dims)``.

    Returns:
        str: SHA-256 of the values in float16, in which CLIP was published.
    """
    values = projection.detach().cpu().half().contiguous()
    return hashlib.sha256(values.numpy().tobytes()).hexdigest()
