# Copyright (c) group_wsss contributors. All rights reserved.
"""What a command and all its children take, phase by phase."""
import os
import os.path as osp
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from glob import glob
from typing import Callable, Dict, List, Sequence

from results import ROOT

from group_wsss.utils.errors import InputError

PAGE, TICK = os.sysconf('SC_PAGE_SIZE'), os.sysconf('SC_CLK_TCK')
# what a log says when a phase begins
PHASES = {
    'train': r'\(train\)',
    'bank': 'token bank of',
    'labels': r'Epoch\(test\)',
}


def family(root: int) -> List[int]:
    """A process and all below it."""
    found = [root]
    for pid in found:
        for path in glob(f'/proc/{pid}/task/*/children'):
            try:
                with open(path) as file:
                    found += map(int, file.read().split())
            except OSError:  # it has ended
                continue
    return found


def end_all(root: int) -> None:
    """Kill a process and all below it."""
    for pid in family(root):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it has ended
            continue


def look(root: int) -> Dict[str, float]:
    """Processor seconds, memory and open files of a process's family."""
    sums: Dict[str, float] = defaultdict(float)
    for pid in family(root):
        try:
            with open(f'/proc/{pid}/stat') as file:
                words = file.read().rsplit(') ', 1)[1].split()
            with open(f'/proc/{pid}/smaps_rollup') as file:
                pss = re.search(r'\nPss: +(\d+) kB', file.read())
            files = len(os.listdir(f'/proc/{pid}/fd'))
        except OSError:  # it has ended
            continue
        sums['cpu'] += sum(map(int, words[11:15])) / TICK
        sums['rss_mb'] += int(words[21]) * PAGE / 1e6
        sums['pss_mb'] += int(pss[1]) / 1e3 if pss else 0
        sums['open_files'] = max(sums['open_files'], files)
        sums['processes'] += 1
    return sums


def disk(folder: str) -> Dict[str, float]:
    """Megabytes and files below a folder."""
    size = count = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                size += 512 * os.lstat(osp.join(root, name)).st_blocks
            except OSError:  # moved or removed
                continue
            count += 1
    return dict(disk_mb=size / 1e6, files=count)


class Watch:
    """Runs commands and adds up what their phases and their folder take."""

    def __init__(self,
                 folder: str,
                 env: Dict[str, str],
                 name: str = '') -> None:
        self.folder, self.env = folder, env
        self.name = name or osp.basename(folder)
        self.log = f'{folder}.log'
        self.phases: Dict[str, Dict[str, float]] = {}
        os.makedirs(folder, exist_ok=True)

    def run(self,
            command: Sequence[str],
            stop: Callable[[str], int] = lambda text: 0) -> bool:
        """Run a command of python; tell whether it was stopped.

        ``stop`` says by the text of the log which signal to send, or 0.
        """
        phase, text, cpu, walk_at, sent = 'start', '', 0., 0., 0
        last, ended = time.time(), 0
        with open(self.log, 'a') as log, open(self.log) as tail:
            tail.seek(0, os.SEEK_END)
            process = subprocess.Popen([sys.executable, *command],
                                       cwd=ROOT,
                                       env={
                                           **os.environ,
                                           **self.env
                                       },
                                       stdout=log,
                                       stderr=subprocess.STDOUT)
            self.phases.setdefault('start', defaultdict(float))['times'] += 1
            while not ended:
                found = look(process.pid)
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                if ended:
                    found['cpu'] = usage.ru_utime + usage.ru_stime
                now = time.time()
                if ended or now > walk_at:
                    found.update(disk(self.folder))
                    walk_at = time.time() + 20 * (time.time() - now)
                row = self.phases.setdefault(phase, defaultdict(float))
                row['seconds'] += now - last
                row['cpu'] += max(0., found['cpu'] - cpu)
                # what has ended is missed until its parent asks for it
                last, cpu = now, max(cpu, found.pop('cpu'))
                for key, value in found.items():
                    row[key] = max(row[key], value)
                text += tail.read()
                for name, mark in PHASES.items():
                    if re.search(mark, text):
                        phase = name
                if not (ended or sent):
                    sent = stop(text)
                    if sent == signal.SIGTERM:
                        process.send_signal(sent)
                    elif sent:
                        end_all(process.pid)
                    time.sleep(1)
                elif not ended:
                    time.sleep(.2)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode and not sent:
            raise InputError(f'{self.log}: the command ended with status '
                             f'{process.returncode}')
        return bool(sent)

    def run_on(self, command: Sequence[str], *stops: Callable[[str],
                                                              int]) -> None:
        """Run a training, which is stopped and resumed some times."""
        more: List[str] = []
        for stop in stops or (lambda text: 0, ):
            print(f'python {" ".join([*command, *more])}', flush=True)
            self.run([*command, *more], stop)
            more = ['--resume']

    def figures(self) -> Dict[str, Dict[str, float]]:
        """Figures by phase, rounded."""
        return {
            name: {
                key: round(phase[key], 1)
                for key in sorted(phase)
            }
            for name, phase in self.phases.items()
        }
