# Copyright (c) group_wsss contributors. All rights reserved.
"""Files between the stages: lists, score maps, label images, dumps."""
from .dump import Dump
from .dump_writer import DumpWriter
from .image_list import (ImageList, ImageRecord, read_image_list,
                         write_image_list)
from .label_image import (IGNORE_INDEX, encode_index_png, open_image,
                          read_index_png, voc_palette)
from .manifest import Manifest
from .score_map import ScoreMap
from .token_bank import TokenBank

__all__ = [
    'Dump', 'DumpWriter', 'IGNORE_INDEX', 'ImageList', 'ImageRecord',
    'Manifest', 'ScoreMap', 'TokenBank', 'encode_index_png', 'open_image',
    'read_image_list', 'read_index_png', 'voc_palette', 'write_image_list'
]
