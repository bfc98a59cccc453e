# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.contrib.analysis import pair_counts, pair_rows
from group_wsss.evaluation import confusion_matrix

NAMES = ('background', 'cat', 'dog', 'sofa', 'car')


def test_pairs_against_a_loop():
    rng = np.random.default_rng(0)
    tags = [(1, 2), (1, 2, 3), (2, ), (), (3, 1)]
    images = [(rng.choice([0, 1, 2, 3, 255], (6, 7)).astype(np.uint8),
               rng.choice([0, 1, 2, 255], (6, 7)).astype(np.uint8))
              for _ in tags]
    counts = sum(
        pair_counts(confusion_matrix(label, mask, 5), labels)
        for (label, mask), labels in zip(images, tags))
    rows = {
        (row['mask_class'], row['label_class']): row
        for row in pair_rows(counts, NAMES)
    }
    seen = 0
    for a in range(5):
        for b in range(5):
            both = [
                image for image, labels in zip(images, tags)
                if a in labels and b in labels and a != b
            ]
            row = rows.get((NAMES[a], NAMES[b]))
            if not both:
                assert row is None
                continue
            seen += 1
            taken = pixels = 0
            for label, mask in both:
                for p, m in zip(label.flat, mask.flat):
                    pixels += m == a
                    taken += m == a and p == b
            assert (row['mask_index'], row['label_index']) == (a, b)
            assert (row['images'], row['pixels'],
                    row['taken']) == (len(both), pixels, taken)
            if pixels:
                assert row['share'] == pytest.approx(100 * taken / pixels)
            else:
                assert np.isnan(row['share'])
    assert len(rows) == seen == 6


def test_most_pixels_first_then_class_order():
    counts = np.zeros((3, 5, 5), np.int64)
    for a, b, taken in ((1, 2, 5), (2, 1, 9), (3, 4, 5), (4, 3, 0)):
        counts[:, a, b] = 1, 10, taken
    rows = pair_rows(counts, NAMES)
    assert [(row['mask_index'], row['label_index'])
            for row in rows] == [(2, 1), (1, 2), (3, 4), (4, 3)]
    assert [row['share'] for row in rows] == [90, 50, 50, 0]
