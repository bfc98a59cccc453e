# Copyright (c) group_wsss contributors. All rights reserved.
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from group_wsss.pseudo_labels.refiners import add_background, remove_background
from group_wsss.pseudo_labels.refiners.crf import DenseCRF, dense_crf
from group_wsss.pseudo_labels.refiners.crf.permutohedral import \
    PermutohedralLattice
from group_wsss.structures import ScoreMap
from group_wsss.utils.errors import InputError

DATA = Path(__file__).parents[2] / 'data/dense_crf.npz'
PSEUDO_LABEL = dict(bilateral_sxy=50.0, bilateral_srgb=5.0)


def smooth_probs(labels, size, seed=0):
    """A random field per label, upsampled from 12x12."""
    noise = torch.randn(
        1, labels, 12, 12, generator=torch.Generator().manual_seed(seed))
    logits = F.interpolate(2 * noise, size=size, mode='bilinear')[0]
    return logits.softmax(dim=0).numpy()


def shapes(height=60, width=80):
    """A noisy image of a bright disc, and where the disc is."""
    rows, columns = np.mgrid[:height, :width]
    disc = (rows - height / 2)**2 + (columns - width / 2)**2 < 300
    noise = np.random.default_rng(0).integers(0, 25, (height, width, 3))
    image = noise + 60 + 120 * disc[..., None] * np.array([1, 0.8, 0.2])
    return image.astype(np.uint8), disc


def _dense_kernels(image):
    """Both kernels as matrices; the second is the lattice, not a Gaussian."""
    height, width = image.shape[:2]
    grid = np.stack(np.mgrid[:height, :width]).reshape(2, -1).astype(float)
    square = ((grid[:, :, None] - grid[:, None])**2).sum(axis=0)
    first = np.exp(-square / (2 * 3.0**2))
    features = np.concatenate([grid[::-1] / 80,
                               image.reshape(-1, 3).T / 13.0
                               ]).astype(np.float32)
    second = PermutohedralLattice(torch.from_numpy(features)).filter(
        torch.eye(height * width)).numpy().astype(float)
    kernels = []
    for kernel, weight in ((first, 3), (second, 10)):
        norm = 1 / np.sqrt(kernel.sum(axis=1))
        kernels.append(weight * norm[:, None] * kernel * norm)
    return kernels


@pytest.mark.parametrize('labels', [1, 2, 3, 5])
@pytest.mark.parametrize('unary', ['soft', 'label'])
@pytest.mark.parametrize('num_iters', [0, 1, 4])
def test_against_loops(labels, unary, num_iters):
    rng = np.random.default_rng(labels)
    image = rng.integers(0, 40, (6, 7, 3)).astype(np.uint8)
    probs = rng.dirichlet([0.3] * labels, 42).T.astype(np.float32)
    probs = probs.reshape(labels, 6, 7)
    first, second = _dense_kernels(image)
    p = np.clip(probs, 1e-5, 1).reshape(labels, 42).astype(float)
    if unary == 'label' and labels > 1:
        best = p.argmax(axis=0)
        p[:] = 0.3 / (labels - 1)
        p[best, np.arange(42)] = 0.7
    q = p / p.sum(axis=0)
    for _ in range(num_iters):
        new = np.zeros_like(q)
        for i in range(42):
            for k in range(labels):
                energy = 0
                for j in range(42):  # Potts: other labels cost
                    energy += (first[i, j] + second[i, j]) * (1 - q[k, j])
                new[k, i] = p[k, i] * np.exp(-energy)
        q = new / new.sum(axis=0)
    got = dense_crf(probs, image, num_iters=num_iters, unary=unary)
    assert got.dtype == np.float32 and got.shape == probs.shape
    np.testing.assert_allclose(got.reshape(labels, 42), q, rtol=0, atol=2e-4)


@pytest.mark.parametrize('unary', ['soft', 'label'])
@pytest.mark.parametrize('sxy, srgb', [(80, 13), (50, 5)])
@pytest.mark.parametrize('labels', [2, 3, 5])
def test_agrees_with_pydensecrf(labels, sxy, srgb, unary):
    """Numbers of benchmarks/dense_crf_reference.py."""
    with np.load(DATA) as data:
        image, scores, theirs = (
            data[name] for name in (f'image_{labels}', f'scores_{labels}',
                                    f'q_{labels}_{unary}_{sxy}'))
    probs = scores.astype(np.float32)
    probs /= probs.sum(axis=0)
    ours = dense_crf(
        probs, image, bilateral_sxy=sxy, bilateral_srgb=srgb, unary=unary)
    label = theirs.argmax(axis=0)
    assert (ours.argmax(axis=0) == label).mean() > 0.998
    assert abs(ours - theirs / 255).mean() < 1e-4
    assert (label != probs.argmax(axis=0)).mean() > 0.05


@pytest.mark.parametrize('size', [(1, 1), (1, 9), (12, 10)])
@pytest.mark.parametrize(
    'options', [{}, dict(unary='label'),
                dict(bilateral_weight=1e4)])
def test_degenerate_inputs_stay_finite(size, options):
    rng = np.random.default_rng(0)
    for image in (np.full((*size, 3), 255), rng.integers(0, 256, (*size, 3))):
        for labels in (1, 2, 30):
            hard = np.zeros((labels, *size), np.float32)
            hard[0] = 1
            got = dense_crf(hard, image.astype(np.uint8), **options)
            np.testing.assert_allclose(got.sum(axis=0), 1, rtol=1e-5)
            assert (got >= 0).all() and (got.argmax(axis=0) == 0).all()


def test_weights_of_zero_leave_kernels_out():
    image, _ = shapes(20, 24)
    probs = smooth_probs(3, (20, 24))
    none = dict(gaussian_weight=0, bilateral_weight=0)
    np.testing.assert_allclose(dense_crf(probs, image, **none), probs, 1e-4)
    for name, blind in (('gaussian_weight', False), ('bilateral_weight',
                                                     True)):
        options = dict({name: 0}, bilateral_sxy=4.)
        one, two = (
            dense_crf(probs, other, **options)
            for other in (image, image[::-1].copy()))
        assert abs(one - probs).max() > 0.05
        # the first kernel does not see the image
        assert np.array_equal(one, two) == blind


def test_arrays_and_tensors():
    image, _ = shapes(20, 24)
    probs = smooth_probs(3, (20, 24))
    array = dense_crf(probs, image)
    tensor = dense_crf(torch.from_numpy(probs).double(), torch.tensor(image))
    assert isinstance(array, np.ndarray) and tensor.dtype == torch.float32
    np.testing.assert_array_equal(array, tensor.numpy())


def test_same_bytes_with_two_threads():
    # more pixels than one thread takes, no multiple of a vector
    image, _ = shapes(181, 191)
    probs = smooth_probs(3, (181, 191))
    one = dense_crf(probs, image, num_iters=1)
    try:
        torch.set_num_threads(2)
        two = dense_crf(probs, image, num_iters=1)
    finally:
        torch.set_num_threads(1)
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    'background',
    [dict(bg_threshold=0.3), dict(bg_power=2.0), {}])
def test_refine_is_its_parts(background):
    image, _ = shapes(30, 40)
    maps = np.random.default_rng(0).random((2, 5, 8), np.float32)
    got = DenseCRF(
        num_iters=2, **PSEUDO_LABEL, **background).refine(maps, image)
    large = ScoreMap('x', (30, 40), [0, 1], maps).resize().maps
    probs = add_background(large, **(background or dict(bg_threshold=0.35)))
    expected = remove_background(
        dense_crf(probs, image, num_iters=2, **PSEUDO_LABEL))
    np.testing.assert_array_equal(got, expected)


def test_refused():
    image, _ = shapes(20, 24)
    probs = smooth_probs(2, (20, 24))
    with pytest.raises(InputError, match='bilateral_srgb 0.001 of DenseCRF'):
        dense_crf(probs, image, bilateral_srgb=0.001)
    with pytest.raises(InputError, match='gt_prob of DenseCRF is 1'):
        dense_crf(probs, image, gt_prob=1)
    with pytest.raises(AssertionError, match='do not fit'):
        dense_crf(probs, image[:-1])
