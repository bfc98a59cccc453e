# Copyright (c) group_wsss contributors. All rights reserved.
"""Class maps from words: an image tower of CLIP asked for class names.

The components are in ``components``, which configs import: this module is
free of mmpretrain, beside which transformers may not be importable.
"""
from .clip_text import ClipText
from .names import read_words
from .text_features import TextFeatures, make_text_features

__all__ = ['ClipText', 'TextFeatures', 'make_text_features', 'read_words']
