# Copyright (c) group_wsss contributors. All rights reserved.
from .load_image import LoadPhoto, load_photo
from .load_seeds import LoadSeeds
from .pack_seeds import PackSeeds

__all__ = ['LoadPhoto', 'LoadSeeds', 'PackSeeds', 'load_photo']
