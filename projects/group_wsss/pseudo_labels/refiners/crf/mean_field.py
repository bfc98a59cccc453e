# Copyright (c) group_wsss contributors. All rights reserved.
"""Mean-field inference in a fully connected CRF, on arrays."""
import math
from typing import Any, Callable, List, Optional, Union

import numpy as np
import torch
from torch import Tensor

from ....utils.errors import InputError
from ...options import check_options
from .gaussian_filter import gaussian_filter
from .permutohedral import PermutohedralLattice

# the floor of probabilities before their logarithm, as usual in the field
_MIN_PROB = 1e-5
# of maps ``(C, H, W)``
_Filter = Callable[[Tensor], Tensor]


@torch.no_grad()
def dense_crf(probs: Union[np.ndarray, Tensor],
              image: Union[np.ndarray, Tensor],
              num_iters: int = 10,
              gaussian_sxy: float = 3.0,
              gaussian_weight: float = 3.0,
              bilateral_sxy: float = 80.0,
              bilateral_srgb: float = 13.0,
              bilateral_weight: float = 10.0,
              unary: str = 'soft',
              gt_prob: float = 0.7,
              device: Optional[str] = None) -> Union[np.ndarray, Tensor]:
    """Mean-field inference in a fully connected CRF.

    Kraehenbuehl and Koltun, Efficient Inference in Fully Connected CRFs with
    Gaussian Edge Potentials, NIPS 2011, algorithm 1, with the Potts model:
    ``Q_l = softmax_l(log p_l + sum_m w_m (K_m Q_l))``. ``K_1`` is a Gaussian
    of the distance, ``K_2`` of distance and colour, both scaled to
    ``D^(-1/2) K D^(-1/2)`` with ``D = diag(K 1)``. A pixel is its own
    neighbour, as in the authors' program.

    Settings of the field: the defaults for class scores of a network;
    ``bilateral_sxy=50, bilateral_srgb=5, unary='label'`` for hard pseudo
    labels.

    Args:
        probs (np.ndarray | Tensor): Probabilities ``(L, H, W)``.
        image (np.ndarray | Tensor): uint8 RGB ``(H, W, 3)``.
        num_iters (int): Updates of Q. Defaults to 10.
        gaussian_sxy (float): Standard deviation of the distance in pixels.
            Defaults to 3.0.
        gaussian_weight (float): 0 leaves the kernel out. Defaults to 3.0.
        bilateral_sxy (float): Of the distance. Defaults to 80.0.
        bilateral_srgb (float): Of each colour in grey levels. Defaults to
            13.0.
        bilateral_weight (float): 0 leaves the kernel out. Defaults to 10.0.
        unary (str): ``'soft'`` starts from ``probs``, ``'label'`` only from
            the argmax, which is right with ``gt_prob``. Defaults to
            ``'soft'``.
        gt_prob (float): In (0, 1). Defaults to 0.7.
        device (str, optional): Where to compute. Defaults to None, which
            means the device of a tensor; for an array a GPU if there is one.

    Returns:
        np.ndarray or Tensor: Q, float32 ``(L, H, W)``; of the kind and on
        the device of ``probs``.

    Raises:
        InputError: An option has a value that it cannot have.
    """
    check_crf(num_iters, gaussian_sxy, gaussian_weight, bilateral_sxy,
              bilateral_srgb, bilateral_weight, unary, gt_prob)
    place: Any = device
    if device is None and isinstance(probs, Tensor):
        place = probs.device
    elif device is None:
        place = 'cuda' if torch.cuda.is_available() else 'cpu'
    scores = torch.as_tensor(probs).to(place, torch.float32)
    image = torch.as_tensor(image).to(place)
    assert scores.ndim == 3 and image.dtype == torch.uint8 and (
        image.shape == (*scores.shape[1:], 3)), (
            f'probs {tuple(scores.shape)} (L, H, W) and the image '
            f'{image.dtype} {tuple(image.shape)} (H, W, 3) do not fit')

    unaries = _unaries(scores, unary, gt_prob)
    kernels = []
    if gaussian_weight:
        kernels.append(
            _kernel(lambda maps: gaussian_filter(maps, gaussian_sxy),
                    gaussian_weight, unaries[:1]))
    if bilateral_weight:
        try:
            bilateral = _bilateral_filter(image, bilateral_sxy, bilateral_srgb)
        except ValueError as error:
            raise InputError(
                f'bilateral_sxy {bilateral_sxy} and bilateral_srgb '
                f'{bilateral_srgb} of DenseCRF do not suit an image of '
                f'{tuple(image.shape[:2])}: {error}') from None
        kernels.append(_kernel(bilateral, bilateral_weight, unaries[:1]))
    if not kernels or len(unaries) == 1:
        num_iters = 0
    result = _mean_field(unaries, kernels, num_iters)
    if isinstance(probs, Tensor):
        return result.to(probs.device)
    return result.cpu().numpy()


def _kernel(smooth: _Filter, weight: float, like: Tensor) -> _Filter:
    """A filter, symmetrically normalised and weighted."""
    norm = (smooth(torch.ones_like(like)) + 1e-20).rsqrt()
    return lambda maps: smooth(maps * norm).mul_(norm * weight)


def _bilateral_filter(image: Tensor, sxy: float, srgb: float) -> _Filter:
    """Filter by distance and colour."""
    height, width = image.shape[:2]
    rows = torch.arange(height, dtype=torch.float32, device=image.device) / sxy
    columns = torch.arange(
        width, dtype=torch.float32, device=image.device) / sxy
    features = torch.cat([
        columns[None, None].expand(1, height, width),
        rows[None, :, None].expand(1, height, width),
        image.permute(2, 0, 1) / srgb
    ]).flatten(1)
    lattice = PermutohedralLattice(features)

    def smooth(maps: Tensor) -> Tensor:
        # a clone has the strides of its shape also for one channel, without
        # which embedding_bag is slow
        values = maps.flatten(1).t()
        values = values.clone(memory_format=torch.contiguous_format)
        return lattice.filter(values).t().reshape(maps.shape)

    return smooth


def _unaries(probs: Tensor, unary: str, gt_prob: float) -> Tensor:
    """Logarithms of the probabilities that a pixel has on its own."""
    if unary == 'soft' or len(probs) == 1:
        return probs.clamp(_MIN_PROB, 1).log()
    rest = math.log((1 - gt_prob) / (len(probs) - 1))
    unaries = torch.full_like(probs, rest)
    return unaries.scatter_(0, probs.argmax(dim=0, keepdim=True),
                            math.log(gt_prob))


def _mean_field(unaries: Tensor, kernels: List[_Filter],
                num_iters: int) -> Tensor:
    """Q after ``num_iters`` updates of all pixels at once.

    The filters are linear and Q sums to 1, so the messages of all labels
    have the same sum in all iterations: after the first, there is one label
    less to filter.
    """
    probs, total = _softmax(unaries.clone()), None
    for _ in range(num_iters):
        messages: Any = sum(
            kernel(probs[total is not None:]) for kernel in kernels)
        if total is None:
            total = messages.sum(dim=0)
        else:
            first = total - messages.sum(dim=0)
            messages = torch.cat([first[None], messages])
        probs = _softmax(messages.add_(unaries))
    return probs


def _softmax(logits: Tensor) -> Tensor:
    """Softmax over the labels, in place.

    The last bit of torch's depends on the number of threads, that of its
    exponential does not.
    """
    logits.sub_(logits.amax(dim=0)).exp_()
    return logits.div_(logits.sum(dim=0))


def check_crf(num_iters: int, gaussian_sxy: float, gaussian_weight: float,
              bilateral_sxy: float, bilateral_srgb: float,
              bilateral_weight: float, unary: str, gt_prob: float) -> None:
    """Refuse options of :func:`dense_crf` that it cannot have.

    Raises:
        InputError: The first such option is named.
    """
    check_options(
        'DenseCRF',
        gaussian_sxy=(gaussian_sxy, 0 < gaussian_sxy < math.inf, '> 0'),
        bilateral_sxy=(bilateral_sxy, 0 < bilateral_sxy < math.inf, '> 0'),
        bilateral_srgb=(bilateral_srgb, 0 < bilateral_srgb < math.inf, '> 0'),
        gaussian_weight=(gaussian_weight, 0 <= gaussian_weight < math.inf,
                         '>= 0'),
        bilateral_weight=(bilateral_weight, 0 <= bilateral_weight < math.inf,
                          '>= 0'),
        num_iters=(num_iters, num_iters
                   in range(1 << 16), 'a whole number >= 0'),
        unary=(unary, unary in ('soft', 'label'), "'soft' or 'label'"),
        gt_prob=(gt_prob, 0 < gt_prob < 1, 'in (0, 1)'))
