# Copyright (c) group_wsss contributors. All rights reserved.
# several processes: tests/test_dist_worlds.py
import threading

import pytest

from group_wsss.contrib.reliability.rank_watch_hook import (RankWatchHook,
                                                            _behind)


@pytest.mark.parametrize(
    'states, behind',
    [
        ([(5, True), (4, False)], [1]),
        ([(5, False), (4, True)], [1]),
        ([(4, False), (5, True), (4, False)], [0, 2]),
        # as many steps: the one that is in no collective operation
        ([(4, True), (4, False), (4, True)], [1]),
        ([(4, True), (4, True)], [0, 1]),
    ])
def test_whom_the_others_wait_for(states, behind):
    states = [dict(steps=steps, waits=waits) for steps, waits in states]
    assert _behind(states) == behind


def test_one_process_is_not_watched(toy):
    hook = RankWatchHook(timeout=1)
    threads = threading.active_count()
    runner = toy([hook], length=2)
    runner.train()
    assert hook._thread is None and threading.active_count() == threads
    assert hook._handle is None
    # two epochs of three iterations: both ends of each
    assert hook._steps >= 2 * (2 + 3 * 2)


def test_what_a_rank_tells_about_itself():
    hook = RankWatchHook(timeout=8)
    hook._step()
    state = hook._state()
    assert state['steps'] == 1 and 0 <= state['idle'] < 5
    assert state['leaving'] is False and state['waits'] is False
    # the line of the main thread, here that which looks for it
    assert state['where'].startswith('frame_of (private.py:')
    with pytest.raises(AssertionError, match='positive'):
        RankWatchHook(timeout=0)
