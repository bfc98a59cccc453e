# Copyright (c) group_wsss contributors. All rights reserved.
"""ONNX files against the networks that they come from."""
from typing import Iterable, Tuple

import numpy as np
import torch

from ...utils.errors import InputError
from .onnx_export import NetworkGraph

# between the outputs of torch and of onnxruntime
TOLERANCE = 1e-4


@torch.no_grad()
def verify_onnx(data: bytes, graph: NetworkGraph,
                sizes: Iterable[Tuple[int, int]]) -> float:
    """Compare a file of ONNX with the network that it comes from.

    ``graph.expected`` runs the network in the usual way, its own
    preparation of pixels included.

    Args:
        data (bytes): Of :func:`export_onnx`.
        graph (ClassMapGraph | LogitGraph): The network.
        sizes (Iterable[tuple[int, int]]): Heights and widths to try.

    Returns:
        float: The largest difference that was found, in units of the largest
        value that torch gives, at least 1.

    Raises:
        InputError: onnxruntime is not installed, cannot run the file, or
            gives something else.
    """
    try:
        import onnxruntime
    except ImportError:
        raise InputError('onnxruntime is not installed: pip install '
                         'onnxruntime') from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # an error is told once, below
    worst = 0.0
    rng = np.random.default_rng(0)
    try:
        session = onnxruntime.InferenceSession(
            data, options, providers=['CPUExecutionProvider'])
        for size in sizes:
            # whole numbers, as pixels are
            shape = (graph.group_size, 3, *size)
            image = rng.integers(0, 256, shape).astype(np.float32)
            got = session.run(None, {'image': image})
            wanted = graph.expected(torch.from_numpy(image))
            for name, tensor, theirs in zip(graph.outputs, wanted, got):
                ours = tensor.numpy()
                if ours.shape != theirs.shape:
                    raise InputError(f'{name} at {size}: onnxruntime gives '
                                     f'{theirs.shape}, torch {ours.shape}')
                gap = np.abs(ours - theirs).max()
                gap = float(gap / max(1, np.abs(ours).max()))
                if not gap <= TOLERANCE:
                    raise InputError(
                        f'{name} at {size}: onnxruntime differs from torch '
                        f'by {gap:.2g}, more than {TOLERANCE:g}')
                worst = max(worst, gap)
    except InputError:
        raise
    except Exception as error:  # its own classes, not those of Python
        first = str(error).strip().splitlines()[0]
        raise InputError(f'onnxruntime cannot run the file: {first}') from None
    return worst
