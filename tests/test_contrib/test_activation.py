# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.contrib.analysis import (activation_counts, activation_shares,
                                         total_shares)
from group_wsss.evaluation import confusion_matrix


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    # class 4 has no label, class 3 no mask, class 5 neither
    label = rng.choice([0, 1, 2, 3, 255], (12, 15)).astype(np.uint8)
    mask = rng.choice([0, 0, 1, 2, 4, 255], (12, 15)).astype(np.uint8)
    return label, mask


def _loop(label, mask, objects):
    """Shares of some classes together, pixel by pixel."""
    names = ('truth', 'label', 'missed', 'missed_to_background',
             'missed_to_unknown', 'taken', 'leak', 'confused')
    n = dict.fromkeys(names, 0)
    for p, m in zip(label.flat, mask.flat):
        if m == 255:
            continue
        if m in objects:
            n['truth'] += 1
            n['missed'] += p != m
            n['missed_to_background'] += p == 0
            n['missed_to_unknown'] += p == 255
            n['taken'] += p not in (0, 255, m)
        if p in objects:
            n['label'] += 1
            n['leak'] += m == 0
            n['confused'] += m not in (0, p)
    whole = {'leak': 'label', 'confused': 'label'}
    return n, {
        name:
        100 * n[name] /
        n[whole.get(name, 'truth')] if n[whole.get(name, 'truth')] else np.nan
        for name in names[2:]
    }


def test_against_a_loop(images):
    confusion = confusion_matrix(*images, 6)
    before = confusion.copy()
    counts = activation_counts(confusion)
    shares = activation_shares(counts)
    np.testing.assert_array_equal(confusion, before)
    for i in range(1, 6):
        expected, percent = _loop(*images, {i})
        assert {name: count[i] for name, count in counts.items()} == expected
        for name, value in percent.items():
            np.testing.assert_allclose(shares[name][i], value)
    assert all(count[0] == 0 for count in counts.values())
    assert np.isnan(shares['missed'][[0, 3, 5]]).all()
    assert np.isnan(shares['leak'][[0, 4, 5]]).all()


def test_total_against_a_loop(images):
    total = total_shares(confusion_matrix(*images, 6))
    _, expected = _loop(*images, {1, 2, 3, 4, 5})
    assert total == pytest.approx(expected)
    assert all(value == value for value in total.values())
