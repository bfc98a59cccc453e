# Copyright (c) group_wsss contributors. All rights reserved.
import multiprocessing
import signal
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Callable, Iterator, List, Sequence

import torch

# images that a process takes at a time
CHUNK = 8


def _start() -> None:
    """Make a process of the pool ready."""
    # the process that was started tells of an interruption, and ends these
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def ordered(
    work: Callable[[Sequence[str]], List[Any]],
    ids: Sequence[str],
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[Any]:
    """Results of some images in the order of their ids.

    No more than a few chunks of results wait at a time, so that a long list
    needs no more memory than a short one.

    Args:
        work (Callable): Ids to a list with one result each; can be pickled.
        ids (Sequence[str]): All images.
        jobs (int): Processes. Defaults to 1, this one.
        progress (Callable): Told the images done and their number.

    Yields:
        Any: One result an image.
    """
    assert jobs >= 1, f'jobs must be positive, got {jobs}'
    starts = range(0, len(ids), CHUNK)
    chunks = (ids[start:start + CHUNK] for start in starts)
    results = map(work, chunks)
    if jobs > 1:
        results = _parallel(work, chunks, min(jobs, len(starts)) or 1)
    done = 0
    for result in results:
        yield from result
        done += len(result)
        progress(done, len(ids))


def _parallel(work: Callable, chunks: Iterator, jobs: int) -> Iterator[list]:
    """As ``map(work, chunks)``, in processes."""
    # forking after torch has started threads can hang
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(jobs, context, _start) as pool:
        waiting: deque = deque()
        try:
            for chunk in chunks:
                waiting.append(pool.submit(work, chunk))
                if len(waiting) == 4 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # no image is begun that nobody waits for
            pool.shutdown(cancel_futures=True)
