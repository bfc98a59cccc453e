# Copyright (c) group_wsss contributors. All rights reserved.
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from group_wsss.contrib.groups.label_advice import (label_advice, label_page,
                                                    markdown_table)
from group_wsss.contrib.groups.label_statistics import (label_statistics,
                                                        set_levels)
from group_wsss.datasets import LabelIndex
from group_wsss.structures import read_image_list
from group_wsss.utils.errors import InputError

VOC_LIST = (
    Path(__file__).parents[2] / '..' / 'shared/data/'
    'voc2012_train_aug_cls.txt')
WORDS = ('alone', 'few', 'full')


def random_labels(seed, num_classes=6):
    rng = np.random.default_rng(seed)
    return [
        tuple(np.flatnonzero(rng.random(num_classes) < rng.random() * .6))
        for _ in range(int(rng.integers(2, 40)))
    ]


def plain_level(labels, own, size, match):
    """Smallest pool that a draw may use, by counting images."""
    if match == 'exact':
        pool = sum(ids == own for ids in labels) if own else 0
    else:
        pools = [sum(c in ids for ids in labels) for c in own]
        pool = min((n for n in pools if n > 1), default=0)
    return 0 if pool < 2 else 1 if pool < size else 2


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('size', [2, 4])
def test_equals_plain_loops(seed, size):
    labels = random_labels(seed)
    index = LabelIndex(labels, 6)
    found = label_statistics(index, size, list('abcdef'))
    labelled = [ids for ids in labels if ids]
    counted = Counter(labelled)
    assert found['images'] == len(labels)
    assert found['unlabelled'] == len(labels) - len(labelled)
    assert found['pairs'] == sum(map(len, labels))
    assert found['sets'] == len(counted)
    assert found['many_classes'] == sum(len(ids) > size - 1 for ids in labels)
    level = {
        match: [plain_level(labels, ids, size, match) for ids in labelled]
        for match in ('exact', 'any', 'each')
    }
    for match, values in level.items():
        assert found['rules'][match] == {
            word: values.count(number)
            for number, word in enumerate(WORDS)
        }
    for c, row in enumerate(found['per_class']):
        having = [i for i, ids in enumerate(labelled) if c in ids]
        assert row == dict(
            class_id=c,
            class_name='abcdef'[c],
            images=len(having),
            sets=len({labelled[i]
                      for i in having}),
            only_class=sum(len(labelled[i]) == 1 for i in having),
            **{
                f'set_{word}': sum(level['exact'][i] == number for i in having)
                for number, word in enumerate(WORDS)
            })
    sets = {tuple(row['class_ids']): row for row in found['per_set']}
    assert len(sets) == len(found['per_set']) == len(counted)
    for ids, row in sets.items():
        i = labelled.index(ids)
        assert row['images'] == counted[ids]
        assert row['classes'] == ['abcdef'[c] for c in ids]
        assert [row[match] for match in level
                ] == [WORDS[level[match][i]] for match in level]
    images = [row['images'] for row in found['per_set']]
    assert images == sorted(images, reverse=True)
    for row in found['set_sizes']:
        inside = [n for n in counted.values() if row['from'] <= n <= row['to']]
        assert (row['sets'], row['images']) == (len(inside), sum(inside))
    assert sum(row['images'] for row in found['set_sizes']) == len(labelled)


@pytest.mark.parametrize('match', ['exact', 'any', 'each'])
def test_levels_are_what_the_draw_does(match):
    size = 4
    for seed in range(8):
        labels = random_labels(seed)
        index = LabelIndex(labels, 6)
        level = set_levels(index, size, match)[index.set_of]
        for epoch in range(15):
            drawn = index.partners(
                np.arange(len(labels)), size - 1, match, 0, epoch)
            for ids, fate, row in zip(labels, level, drawn.tolist()):
                if fate == 2:
                    assert len(set(row)) == size - 1
                if fate and match == 'exact':
                    assert {labels[i] for i in row} == {ids}
                if fate and match != 'exact':
                    assert all(set(ids) & set(labels[i]) for i in row)
                if not fate and match != 'exact':
                    assert not any(set(ids) & set(labels[i]) for i in row)


def test_bad_arguments():
    index = LabelIndex([[0], [0]], 1)
    with pytest.raises(InputError, match="match='none'"):
        set_levels(index, 4, 'none')
    with pytest.raises(InputError, match='group_size=1'):
        label_statistics(index, 1)


@pytest.mark.skipif(not VOC_LIST.exists(), reason='no shared VOC list')
def test_real_list():
    labels = [record.labels for record in read_image_list(VOC_LIST).records]
    found = label_statistics(LabelIndex(labels, 20), 4)
    assert found['sets'] == 341 and found['images'] == 10582
    assert [*found['set_sizes'][0].values()] == [1, 1, 144, 144]
    assert found['rules'] == dict(
        exact=dict(alone=144, few=149, full=10289),
        any=dict(alone=0, few=0, full=10582),
        each=dict(alone=0, few=0, full=10582))
    assert found['per_set'][0]['classes'] == ['14']
    assert label_advice(found)[0].startswith(
        '144 of 10,582 images share their label set with nobody; '
        "match='any' or 'each' gives them partners.")


def advice(labels, size=3, names='abcde'):
    statistics = label_statistics(LabelIndex(labels, 5), size, list(names))
    return '\n'.join(label_advice(statistics))


@pytest.mark.parametrize('labels, words, absent', [
    ([[c] for c in range(5)] * 3, ['Every labelled image has 2'], ['nobody']),
    ([[0], [0], [0], [0, 1], [1], [1], [1]
      ], ['1 of 7 images share', "'each' gives them partners"], ['Every']),
    ([[0], [0], [0], [1]], [
        '1 of 4 images share', 'nobody, and no class with anybody either'
    ], ['gives']),
    ([[0], [0], [0], [3], [0, 2], [0, 1], [1]], [
        '4 of 7', 'gives 3 of them', '1 of them share',
        '2 of 5 classes have a single image', '(c, d)',
        '1 of 5 classes have no image', '(e)', '1 of 5 classes have '
        'fewer than 3', '(b)'
    ], ['0 have']),
    ([[0], [0], [1], [2]
      ], ['nobody', '2 images have '
          'label sets of fewer than 3'], []),
    ([[0, 1, 2]] * 3 + [[]],
     ['3 images have more than 2 classes', '1 image has no class'], []),
])
def test_advice(labels, words, absent):
    text = advice(labels)
    for word in words:
        assert word in text
    for word in absent:
        assert word not in text


def test_many_names_are_cut(monkeypatch):
    monkeypatch.setitem(label_statistics.__globals__, '_MAX_SETS', 2)
    few = label_statistics(LabelIndex([[0], [1], [0], [2]], 3), 2)['per_set']
    assert [row['images'] for row in few] == [2, 1]
    statistics = label_statistics(LabelIndex([[0], [0]], 30), 2)
    assert '29 of 30 classes have no image' in label_advice(statistics)[-1]
    assert '8 and 21 more)' in label_advice(statistics)[-1]


def test_page():
    labels = [[0], [0], [1, 2], []]
    statistics = label_statistics(
        LabelIndex(labels, 3), 2, ['a|b', 'two\nlines', 'c'])
    page = label_page(statistics, 'Title')
    assert page.startswith('# Title\n') and page.endswith('|\n')
    assert '| a\\|b | 2 | 1 | 2 | 0 | 0 | 2 |' in page
    assert '| two lines, c | 1 | alone | alone | alone |' in page
    assert '| exact | 1 | 0 | 2 |' in page
    assert '1 image has no class' in page
    assert markdown_table(['x', 'y'],
                          [['a', 1234]]) == ('| x | y |\n| --- | --: |\n'
                                             '| a | 1,234 |')
    assert markdown_table(['x'], []) == '| x |\n| --- |'
