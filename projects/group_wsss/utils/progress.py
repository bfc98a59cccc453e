# Copyright (c) group_wsss contributors. All rights reserved.
"""Progress of long commands."""
import os
import sys
import time
from typing import Iterable, Iterator, Optional, TypeVar

from .errors import InputError

# seconds between lines where nothing can be written over: in a log
VARIABLE = 'GROUP_WSSS_PROGRESS'
_LOG_SECONDS = 60.0
_TERMINAL_SECONDS = 0.5
# a command that takes no longer needs no words
_QUIET_SECONDS = 2.0

T = TypeVar('T')


def human_seconds(seconds: float) -> str:
    """A duration for people.

    Args:
        seconds (float): The duration.

    Returns:
        str: Such as ``'41 s'``, ``'8 min'`` or ``'2 h 05 min'``.
    """
    if seconds < 99.5:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    if minutes < 100:
        return f'{minutes} min'
    return f'{minutes // 60} h {minutes % 60:02d} min'


def log_seconds() -> Optional[float]:
    """Seconds that ``GROUP_WSSS_PROGRESS`` asks for.

    Returns:
        float: None without a wish.

    Raises:
        InputError: It is no number of seconds.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float('inf'):
        raise InputError(f'{VARIABLE}={text}: not a number of seconds')
    return seconds


class Progress:
    """One line that is written over, or one a minute in a log.

    On a terminal the line is written over twice a second; elsewhere there
    is a line every 60 seconds, or as many as ``GROUP_WSSS_PROGRESS`` says (0
    tells every step), and no carriage return. Of work that is done within
    two seconds nothing is said, unless that variable is less.

    Args:
        what (str): Begins the line. Defaults to none.

    Raises:
        InputError: ``GROUP_WSSS_PROGRESS`` is no number of seconds.
    """

    def __init__(self, what: str = '') -> None:
        self.what = f'{what}: ' if what else ''
        self.terminal = sys.stderr.isatty()
        wish = log_seconds()
        self.every = _TERMINAL_SECONDS if self.terminal else (
            _LOG_SECONDS if wish is None else wish)
        self.quiet = min(_QUIET_SECONDS,
                         _LOG_SECONDS if wish is None else wish)
        self.start = self.last = self.now = time.perf_counter()
        self.done, self.total = 0, 0
        self.width = 0

    def __call__(self, done: int, total: int) -> None:
        """Tell how far the work is; another total is another work.

        Args:
            done (int): Images that are done.
            total (int): All of them.
        """
        now = time.perf_counter()
        if done < self.done or total != self.total:
            self.start = self.last = self.now
        self.done, self.total, self.now = done, total, now
        if now - self.start < self.quiet or (done < total
                                             and now - self.last < self.every):
            return
        self.last = now
        left = (now - self.start) / max(done, 1) * (total - done)
        text = f'{self.what}{done}/{total}, {human_seconds(left)} left'
        end = '\n'
        if self.terminal:
            # what was longer is wiped out
            text, self.width = text.ljust(self.width), len(text)
            end = '\r' if done < total else '\n'
        print(text, end=end, file=sys.stderr, flush=True)

    def over(self, items: Iterable[T], total: int) -> Iterator[T]:
        """Tell about a loop.

        Args:
            items (Iterable): What to go through.
            total (int): Their number.

        Yields:
            Any: The items.
        """
        for done, item in enumerate(items, 1):
            yield item
            self(done, total)
