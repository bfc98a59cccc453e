# Copyright (c) group_wsss contributors. All rights reserved.
import pytest

from group_wsss.contrib.exporters.pool import CHUNK, ordered


def lengths(ids):
    return [(img_id, len(img_id)) for img_id in ids]


@pytest.mark.parametrize('jobs', (1, 3))
def test_order_and_progress(threads, jobs):
    ids = [f'{i}' * (i % 4) for i in range(40 * CHUNK + 3)]
    seen = []
    found = list(
        ordered(lengths, ids, jobs, lambda *state: seen.append(state)))
    assert found == lengths(ids)
    done = [*range(CHUNK, len(ids), CHUNK), len(ids)]
    assert seen == [(count, len(ids)) for count in done]
    assert list(ordered(lengths, [], jobs)) == []


def test_results_do_not_pile_up(threads):

    class Ids(list):
        last = 0

        def __getitem__(self, item):
            self.last = max(self.last, item.stop)
            return list.__getitem__(self, item)

    ids = Ids(map(str, range(100 * CHUNK)))
    for number, _ in enumerate(ordered(lengths, ids, 2)):
        assert ids.last <= number + (4 * 2 + 1) * CHUNK
