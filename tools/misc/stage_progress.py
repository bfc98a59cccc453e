# Copyright (c) group_wsss contributors. All rights reserved.
"""One line for all stages: how far this one is, how long the rest takes."""
import re
import sys
import time
from typing import Dict, Optional, Sequence

from group_wsss.utils.progress import human_seconds, log_seconds

# what mmengine says of a loop, and group_wsss.utils.progress of all others
_LOOP = re.compile(r'(Iter|Epoch)\((train|test)\)\s*(?:\[\s*\d+\])?'
                   r'\[\s*(\d+)/\s*(\d+)\].*?eta: ([\d:, day]+\d)')
_LOSS = re.compile(r' loss: (\S+)')
_STEPS = re.compile(r'(?:(\S.*): )?(\d+)/(\d+), ([\d hmins]+) left')
_UNITS = dict(s=1, min=60, h=3600)
_LOG_SECONDS = 30.0


class StageProgress:
    """Turn the lines of a stage into one that tells about all.

    ``stage 3 of 6: labels 120/300, 2 min left, 7 min in all``. On a terminal
    it is written over twice a second, elsewhere there is a line every 30
    seconds, or as many as ``GROUP_WSSS_PROGRESS`` says.

    Args:
        number (int): The stage, from 1.
        names (Sequence[str]): Of all stages.
        shares (Sequence[float, optional]): What each took when it was
            measured, in any unit. What is left in all is told while all that
            follow have one.
        records (dict): Markers of the stages before, with ``seconds``.

    Raises:
        InputError: ``GROUP_WSSS_PROGRESS`` is no number of seconds.
    """

    def __init__(self, number: int, names: Sequence[str],
                 shares: Sequence[Optional[float]],
                 records: Dict[str, dict]) -> None:
        self.number, self.names, self.shares = number, names, shares
        # seconds here for a second there
        known = [(records[name]['seconds'], share)
                 for name, share in zip(names[:number - 1], shares)
                 if share and records.get(name, {}).get('seconds')]
        self.spent = sum(seconds for seconds, _ in known)
        self.measured = sum(share for _, share in known)
        self.terminal = sys.stdout.isatty()
        wish = log_seconds()
        self.every = .5 if self.terminal else (
            _LOG_SECONDS if wish is None else wish)
        self.start, self.last = time.perf_counter(), float('-inf')
        self.width = 0

    def __str__(self) -> str:
        return f'[{self.number}/{len(self.names)}]'

    def line(self, said: str) -> Optional[str]:
        """Tell what a line of the stage's command means.

        Args:
            said (str): The line.

        Returns:
            str: The line about all stages, None if it tells no progress.
        """
        name = self.names[self.number - 1]
        loop, steps = _LOOP.search(said), _STEPS.search(said)
        loss = ''
        if loop:
            kind, what, done, total, eta = loop.groups()
            left = _seconds_of_eta(eta)
            if what == 'test':
                name += ' (test)'
            found = _LOSS.search(said)
            loss = f', loss {found[1]}' if found else ''
        elif steps:
            what, done, total, words = steps.groups()
            left = sum(
                int(count) * _UNITS[unit]
                for count, unit in re.findall(r'(\d+) (s|min|h)\b', words))
            name += f' ({what})' if what else ''
        else:
            return None
        text = (f'stage {self.number} of {len(self.names)}: {name} '
                f'{done}/{total}, {human_seconds(left)} left')
        in_all = self.left_in_all(left)
        if in_all is not None:
            text += f', {human_seconds(in_all)} in all'
        return text + loss

    def left_in_all(self, left: float) -> Optional[float]:
        """Seconds until the last stage is done.

        Args:
            left (float): Seconds of this stage.

        Returns:
            float: None while it cannot be told: a share is missing.
        """
        share, *after = self.shares[self.number - 1:]
        if not after:
            return None  # the same
        if not share or not all(after):
            return None
        now = time.perf_counter() - self.start + left
        rate = (self.spent + now) / (self.measured + share)
        return left + rate * sum(float(part or 0) for part in after)

    def show(self, said: str) -> None:
        """Print it, unless the last one is too near.

        Args:
            said (str): A line of the stage's command.
        """
        text, now = self.line(said), time.perf_counter()
        if text is None or now - self.last < self.every:
            return
        self.last = now
        if self.terminal:
            print(f'\r{text[:100].ljust(self.width)}', end='', flush=True)
            self.width = len(text[:100])
        else:
            print(f'  {text}', flush=True)

    def wipe(self) -> None:
        """Leave an empty line on a terminal."""
        if self.terminal and self.width:
            print(f'\r{"":{self.width}}\r', end='', flush=True)


def _seconds_of_eta(text: str) -> float:
    """``'1 day, 2:03:04'`` in seconds."""
    days = re.match(r'(\d+) day', text)
    hours, minutes, seconds = re.findall(r'\d+', text)[-3:]
    return (86400 * int(days[1] if days else 0) + 3600 * int(hours) +
            60 * int(minutes) + int(seconds))
