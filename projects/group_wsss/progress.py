# Copyright (c) group_wsss contributors. All rights reserved.
import sys
import time


class Progress:
    """One line that is written over, or one a minute in a log."""

    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()
        self.terminal = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        """Tell how far the work is.

        Args:
            done (int): Photographs that are done.
            total (int): All of them.
        """
        now = time.perf_counter()
        every = 0.5 if self.terminal else 60
        if done < total and now - self.last < every:
            return
        self.last = now
        left = (now - self.start) / done * (total - done)
        end = '\r' if self.terminal and done < total else '\n'
        print(
            f'{done}/{total}, {left:.0f} s left ',
            end=end,
            file=sys.stderr,
            flush=True)
