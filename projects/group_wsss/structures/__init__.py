# Copyright (c) group_wsss contributors. All rights reserved.
"""What lies on disk between the stages."""
from .image_list import (ImageList, ImageRecord, read_image_list,
                         write_image_list)
from .label_image import encode_index_png, open_image, read_index_png
from .palette import voc_palette
from .score_map import ScoreMap

__all__ = [
    'ImageList', 'ImageRecord', 'ScoreMap', 'encode_index_png', 'open_image',
    'read_image_list', 'read_index_png', 'voc_palette', 'write_image_list'
]
