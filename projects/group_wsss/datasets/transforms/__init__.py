# Copyright (c) group_wsss contributors. All rights reserved.
from .load_image import LoadImage, load_image
from .load_label_image import LoadLabelImage
from .load_scores import LoadScores
from .load_seeds import LoadSeeds
from .pack_scores import PackScores
from .pack_seeds import PackSeeds

__all__ = [
    'LoadImage', 'LoadLabelImage', 'LoadScores', 'LoadSeeds', 'PackScores',
    'PackSeeds', 'load_image'
]
