# Copyright (c) group_wsss contributors. All rights reserved.
import os

import pytest

from group_wsss.utils.errors import InputError
from group_wsss.utils.pool import CHUNK, Pool


def double(item):
    return 2 * item


class Numbers(list):
    """Knows the last item that was asked for."""
    last = 0

    def __getitem__(self, item):
        if isinstance(item, slice):
            self.last = max(self.last, item.stop)
        return list.__getitem__(self, item)


@pytest.mark.parametrize('jobs', (1, 3))
def test_order_progress_and_memory(threads, jobs):
    items = Numbers(range(40 * CHUNK + 3))
    seen, found = [], []
    with Pool(jobs) as pool:
        for number, result in enumerate(
                pool.map(double, items, lambda *state: seen.append(state))):
            found.append(result)
            # results do not pile up
            assert items.last <= number + (4 * jobs + 1) * CHUNK
        assert found == [2 * item for item in items]
        done = [*range(CHUNK, len(items), CHUNK), len(items)]
        assert seen == [(count, len(items)) for count in done]
        # the same processes again
        assert list(pool.map_chunks(sum, items[:5], size=2)) == [1, 5, 4]
        assert list(pool.map(double, [])) == []


@pytest.mark.slow
def test_a_killed_process_is_told():
    with pytest.raises(InputError, match='^3: a process was killed'):
        with Pool(2) as pool:
            list(pool.map(os._exit, range(3, 40)))
