# Copyright (c) group_wsss contributors. All rights reserved.
"""A look at a network in training that leaves no trace."""
import random
from contextlib import contextmanager
from typing import Iterator

import numpy as np
import torch
import torch.nn as nn

from ...models import FeatureCache

_CACHE_STATE = ('_weights', 'hits', 'misses', 'bytes')


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put everything back that inference may move.

    That is: the states of Python's, numpy's and torch's random numbers,
    train or eval mode of every single module (a frozen part may differ from
    its parent), and what every ``FeatureCache`` holds and has counted, the
    order of its entries included. Inside there are no gradients.

    Args:
        model (nn.Module): The network.
    """
    modules = list(model.modules())
    modes = [module.training for module in modules]
    caches = [module for module in modules if isinstance(module, FeatureCache)]
    kept = [
        dict({name: getattr(cache, name)
              for name in _CACHE_STATE},
             _maps=cache._maps.copy()) for cache in caches
    ]
    states = random.getstate(), np.random.get_state()
    devices = ([torch.cuda.current_device()]
               if torch.cuda.is_initialized() else [])
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        for module, mode in zip(modules, modes):
            # `train()` of some modules does more than this
            module.training = mode
        for cache, state in zip(caches, kept):
            cache.__dict__.update(state)
