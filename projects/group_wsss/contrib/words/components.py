# Copyright (c) group_wsss contributors. All rights reserved.
"""What a config registers by ``custom_imports``."""
from .check_prompts import CheckPrompts
from .dense_clip import DenseCLIP
from .fuse_text import FuseText
from .text_cam import TextCAM
from .text_cam_head import TextCAMHead

__all__ = ['CheckPrompts', 'DenseCLIP', 'FuseText', 'TextCAM', 'TextCAMHead']
