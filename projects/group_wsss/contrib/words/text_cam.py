# Copyright (c) group_wsss contributors. All rights reserved.
from ...models.classifiers import GroupCAM
from ...registry import MODELS
from .clip_weights import is_clip


@MODELS.register_module()
class TextCAM(GroupCAM):
    """Class maps from words: a ``GroupCAM`` that a CLIP's weights fill.

    Nothing is trained: a checkpoint of CLIP is that of the backbone, and the
    head reads its words from a file. Arguments are those of ``GroupCAM``.
    """

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args,
                              **kwargs) -> None:
        if is_clip(key[len(prefix):] for key in state_dict):
            for key in list(state_dict):
                place = f'{prefix}backbone.{key[len(prefix):]}'
                state_dict[place] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
