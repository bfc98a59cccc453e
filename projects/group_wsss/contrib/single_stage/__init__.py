# Copyright (c) group_wsss contributors. All rights reserved.
"""Class maps, labels and decoder trained together, from tags.

Configs register the components by ``custom_imports``.
"""
from .build import build_online_weak_encoder_decoder
from .effnet_lite0_levels import EffNetLite0Levels
from .online_labeler import OnlineLabeler
from .pack_tags import PackTags
from .tagged_images import TaggedImages

__all__ = [
    'EffNetLite0Levels', 'OnlineLabeler', 'PackTags', 'TaggedImages',
    'build_online_weak_encoder_decoder'
]
