# Copyright (c) group_wsss contributors. All rights reserved.
from .coattention import CoAttention
from .contrast_keys import ContrastKeys
from .conv_gru import ConvGRU
from .graph_dropout import GraphDropout
from .pca_whitening import PCAWhitening
from .pixel_adaptive import PixelAdaptiveRefinement
from .positional_debias import PositionalDebias
from .projection import Projection

__all__ = [
    'CoAttention', 'ContrastKeys', 'ConvGRU', 'GraphDropout', 'PCAWhitening',
    'PixelAdaptiveRefinement', 'PositionalDebias', 'Projection'
]
