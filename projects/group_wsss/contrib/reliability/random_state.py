# Copyright (c) group_wsss contributors. All rights reserved.
"""States of the random number generators, as plain arrays."""
import random
from typing import Dict

import numpy as np
import torch

State = Dict[str, np.ndarray]


def get_state() -> State:
    """States of Python's, NumPy's and torch's global generators.

    No objects, so that they pass through a loader that refuses pickles and
    through the queue of a DataLoader worker. The generator of the current GPU
    is included in a process that uses one.

    Returns:
        dict: Arrays of int64, float64 and uint8, about 15 kB.
    """
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    assert version == 3 and name == 'MT19937'
    state = dict(
        python=np.array(words, np.int64),
        # a second normal number may wait
        python_gauss=np.array([] if gauss is None else [gauss], np.float64),
        numpy=np.append(keys, [position, has_gauss]).astype(np.int64),
        numpy_gauss=np.array([cached]),
        torch=torch.get_rng_state().numpy().copy())
    # asking for it would start CUDA, which no forked worker may do
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state['cuda'] = torch.cuda.get_rng_state().numpy().copy()
    return state


def set_state(state: State) -> None:
    """Put the generators back where they were.

    Args:
        state (dict): Of :func:`get_state`.
    """
    gauss = state['python_gauss'].tolist()
    words = tuple(state['python'].tolist())
    random.setstate((3, words, gauss[0] if gauss else None))
    numbers = state['numpy']
    np.random.set_state(
        ('MT19937', numbers[:-2].astype(np.uint32), int(numbers[-2]),
         int(numbers[-1]), float(state['numpy_gauss'][0])))
    torch.set_rng_state(torch.from_numpy(state['torch']))
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(torch.from_numpy(state['cuda']))


def to_tensors(state: State) -> Dict[str, torch.Tensor]:
    """For a checkpoint.

    Args:
        state (dict): Of :func:`get_state`.
    """
    return {key: torch.from_numpy(value) for key, value in state.items()}


def from_tensors(tensors: Dict[str, torch.Tensor]) -> State:
    """Out of a checkpoint, on whatever device it was loaded.

    Args:
        tensors (dict): Of :func:`to_tensors`.
    """
    return {key: value.cpu().numpy() for key, value in tensors.items()}
