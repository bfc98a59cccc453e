# Copyright (c) group_wsss contributors. All rights reserved.
"""Probabilities of pydensecrf2 for tests/data/dense_crf.npz.

Needs nothing but numpy<2 and pydensecrf2, in an environment of their own::

    python benchmarks/dense_crf_reference.py tests/data/dense_crf.npz

Image and probabilities are integers in the file, so that a test starts
from the same numbers with any version of numpy.
"""
import sys

import numpy as np
from pydensecrf.densecrf import DenseCRF2D
from pydensecrf.utils import unary_from_labels, unary_from_softmax

HEIGHT, WIDTH = 60, 80
GT_PROB = 0.7


def scene(labels: int) -> tuple:
    """A noisy image of a disc, and coarse scores from 1 on, both uint8."""
    rng = np.random.default_rng(labels)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    disc = (rows - HEIGHT / 2)**2 + (columns - WIDTH / 2)**2 < 300
    image = rng.integers(0, 25, (HEIGHT, WIDTH, 3)) + 60
    image = image + 120 * disc[..., None] * np.array([1, 0.8, 0.2])
    coarse = rng.integers(1, 255, (labels, HEIGHT // 10, WIDTH // 10))
    scores = coarse.repeat(10, 1).repeat(10, 2)
    scores[1] = np.where(disc, 200, scores[1] // 2 + 1)
    return image.astype(np.uint8), scores.astype(np.uint8)


def solve(probs: np.ndarray, image: np.ndarray, unary: str, sxy: float,
          srgb: float) -> np.ndarray:
    """Q after ten updates of pydensecrf2, float32 ``(L, H, W)``."""
    crf = DenseCRF2D(*image.shape[1::-1], len(probs))
    if unary == 'soft':
        energy = unary_from_softmax(probs)
    else:
        energy = unary_from_labels(
            probs.argmax(axis=0), len(probs), GT_PROB, zero_unsure=False)
    crf.setUnaryEnergy(np.ascontiguousarray(energy))
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=sxy, srgb=srgb, rgbim=image, compat=10)
    return np.array(crf.inference(10)).reshape(probs.shape)


def main() -> None:
    """Write the file."""
    arrays = {}
    for labels in (2, 3, 5):
        image, scores = scene(labels)
        arrays[f'image_{labels}'] = image
        arrays[f'scores_{labels}'] = scores
        probs = scores.astype(np.float32)
        probs /= probs.sum(axis=0)
        for unary in ('soft', 'label'):
            for sxy, srgb in ((80, 13), (50, 5)):
                q = solve(probs, image, unary, sxy, srgb)
                name = f'q_{labels}_{unary}_{sxy}'
                arrays[name] = np.round(q * 255).astype(np.uint8)
    np.savez_compressed(sys.argv[1], **arrays)


if __name__ == '__main__':
    main()
