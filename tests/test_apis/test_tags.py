# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.apis.tags import predict_tags, read_tags
from group_wsss.utils.errors import InputError

NAMES = ('cat', 'dog', 'dining table')


@pytest.mark.parametrize('tags, wanted', [
    (['dog', 'cat'], [[0, 1], [0, 1]]),
    ('dog', [[1], [1]]),
    (2, [[2], [2]]),
    ([2, 'cat', 2], [[0, 2], [0, 2]]),
    (np.array([1]), [[1], [1]]),
    ([['dog'], []], [[1], []]),
    ([['dining table', 0], (1, )], [[0, 2], [1]]),
])
def test_read(tags, wanted):
    assert read_tags(tags, 2, NAMES) == wanted


@pytest.mark.parametrize('tags, words', [
    (['dgo'], "unknown tag 'dgo': did you mean 'dog'?"),
    (['zebra'], "unknown tag 'zebra': the 3 classes are cat, dog, "),
    ([3], 'tag 3 is out of range 0..2'),
    ([-1], 'tag -1 is out of range'),
    ([1.0], 'tag 1.0 is neither a name nor an id'),
    ([True], 'neither'),
    ([], 'None to have them predicted'),
    ({'dog'}, 'give a list of names or ids'),
    ([['dog']], 'tags are 1 lists for 2 images'),
    ([['dog'], 'cat'], "tags: 'cat' among lists of tags"),
])
def test_refused(tags, words):
    with pytest.raises(InputError) as caught:
        read_tags(tags, 2, NAMES)
    assert words in str(caught.value)


@pytest.mark.parametrize('scores, wanted', [
    ([0.2, 0.5, 0.9], [1, 2]),
    ([0.2, 0.4, 0.1], [1]),
    ([0.3, 0.3, 0.3], [0]),
])
def test_predict(scores, wanted):
    assert predict_tags(np.array(scores), 0.5) == wanted
