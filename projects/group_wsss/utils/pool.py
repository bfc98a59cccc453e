# Copyright (c) group_wsss contributors. All rights reserved.
"""One piece of work for many items, in several processes."""
import signal
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from typing import (Any, Callable, Deque, Iterator, List, Optional, Sequence,
                    Tuple, TypeVar)

from .errors import InputError

# items that a process takes at a time
CHUNK = 8

T = TypeVar('T')
R = TypeVar('R')


def no_progress(done: int, total: int) -> None:
    """Say nothing; the default where work can tell how far it is."""


def _start() -> None:
    """Make a process of the pool ready."""
    # the process that was started tells of an interruption, and ends these
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch
    torch.set_num_threads(1)


def _each(items: Sequence[T], work: Callable[[T], R]) -> List[R]:
    return [work(item) for item in items]


class Pool:
    """Processes that work on items and give results in the items' order.

    A context manager. Its processes start with the first work, each
    importing what that needs (seconds), and serve all calls inside of the
    ``with`` block. No more than a few chunks of results wait at a time, so
    that a long list needs no more memory than a short one.

    Args:
        jobs (int): Number of processes; 1 is this one alone. Results do not
            depend on it. Defaults to 1.
    """

    def __init__(self, jobs: int = 1) -> None:
        assert jobs >= 1, f'jobs must be positive, got {jobs}'
        self.jobs = jobs
        self._executor: Optional[ProcessPoolExecutor] = None
        if jobs > 1:
            # forking after torch has started threads can hang
            self._executor = ProcessPoolExecutor(jobs, get_context('spawn'),
                                                 _start)

    def __enter__(self) -> 'Pool':
        return self

    def __exit__(self, *exc_info: Any) -> None:
        if self._executor is not None:
            # nothing is begun that nobody waits for
            self._executor.shutdown(cancel_futures=True)

    def map(self,
            work: Callable[[T], R],
            items: Sequence[T],
            progress: Callable[[int, int], None] = no_progress) -> Iterator[R]:
        """Work on every item.

        Args:
            work (Callable): Item to result; can be pickled, like both.
            items (Sequence): What to work on.
            progress (Callable): Told the items done and their number.

        Yields:
            Any: One result an item, in order.

        Raises:
            InputError: A process was killed; what it worked on is named.
        """
        each = partial(_each, work=work)
        for results in self.map_chunks(each, items, progress):
            yield from results

    def map_chunks(self,
                   work: Callable[[Sequence[T]], R],
                   items: Sequence[T],
                   progress: Callable[[int, int], None] = no_progress,
                   size: int = CHUNK) -> Iterator[R]:
        """Work on some items at a time, where results can be added up.

        Args:
            work (Callable): Items to one result; can be pickled.
            items (Sequence): What to work on.
            progress (Callable): Told the items done and their number.
            size (int): Items at a time. Defaults to 8.

        Yields:
            Any: One result a chunk, in order.

        Raises:
            InputError: A process was killed; what it worked on is named.
        """
        done = 0
        for chunk, result in self._results(work, items, size):
            yield result
            done += len(chunk)
            progress(done, len(items))

    def _results(self, work: Callable[[Sequence[T]], R], items: Sequence[T],
                 size: int) -> Iterator[Tuple[Sequence[T], R]]:
        """Chunks and their results."""
        chunks = (items[i:i + size] for i in range(0, len(items), size))
        if self._executor is None:
            for chunk in chunks:
                yield chunk, work(chunk)
            return
        waiting: Deque[Tuple[Sequence[T], Future]] = deque()
        try:
            for chunk in chunks:
                waiting.append((chunk, self._executor.submit(work, chunk)))
                if len(waiting) == 4 * self.jobs:
                    yield waiting[0][0], waiting[0][1].result()
                    waiting.popleft()
            while waiting:
                yield waiting[0][0], waiting[0][1].result()
                waiting.popleft()
        except BrokenProcessPool:
            item = (waiting[0][0] if waiting else items)[0]
            raise InputError(
                f'{str(getattr(item, "img_id", item))[:200]}: a process was '
                'killed while it worked on this or one of the next (was '
                'there too little memory for so many?)') from None
