# Copyright (c) group_wsss contributors. All rights reserved.
"""A stage of several commands: run, remember, skip, resume."""
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Callable, Dict, Iterator, List, Optional, Sequence

from stage_facts import config_files, remember
from stage_progress import StageProgress

from group_wsss.utils.cli import Preempted
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import make_folder, write_json
from group_wsss.utils.progress import VARIABLE
from group_wsss.utils.versions import sha256_of

# for the last iteration and its checkpoint; torchrun waits as long
_GRACE_SECONDS = 30.0
# for what a command that was stopped has started to see that it is gone
_LOCK_SECONDS = 5.0


@dataclass
class Stage:
    """A command with a marker file.

    Args:
        name (str): Name of the marker and of the log.
        title (str): What is printed.
        command (list[str]): ``{last:DIR}`` becomes the latest checkpoint of
            that work dir.
        env (dict): Environment variables; likewise.
        needs (list[str]): Stages whose change makes this one run again.
        config (str): Config file, part of the fingerprint.
        files (list[str]): What the command reads besides, likewise; see
            ``stage_facts.files_read``.
        folder (Path, optional): Work dir, removed when the stage changes.
        outputs (list[str]): In the folder; without them it is not done.
        resume (bool): Whether ``--resume`` continues an interrupted one.
        share (float, optional): Seconds that it took where it was measured,
            beside those of the others; for the time left.
    """
    name: str
    title: str
    command: List[str]
    env: Dict[str, str]
    needs: List[str]
    config: str = ''
    folder: Optional[Path] = None
    outputs: List[str] = field(default_factory=list)
    resume: bool = False
    files: List[str] = field(default_factory=list)
    share: Optional[float] = None

    def fingerprint(self, records: Dict[str, dict]) -> str:
        """Hash of all that decides the outcome but code and images."""
        config = config_files(self.config) if self.config else []
        config = [Path(path).read_text() for path in config]
        needs = [records[name]['fingerprint'] for name in self.needs]
        files = [[path, sha256_of(path)] for path in self.files]
        command = self.command[1:]
        if '--nproc' in command:  # changes no byte
            at = command.index('--nproc')
            command = command[:at] + command[at + 2:]
        content = [command, self.env, needs, config, files]
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def run_stage(stage: Stage, work_dir: str, records: Dict[str, dict],
              progress: StageProgress) -> dict:
    """Run a stage unless its marker says that it is done.

    Returns:
        dict: The marker, also ``stages/NAME.json`` in the work dir, beside
        ``NAME.log``: ``fingerprint``, ``seconds``, ``done``,
        ``interruptions``, ``data``, ``command``, and what :func:`remember`
        adds.

    Raises:
        InputError: The folder holds something else, or what was made of
            another folder of images.
    """
    marker = Path(work_dir) / 'stages' / f'{stage.name}.json'
    record = _load(marker)
    wanted = stage.fingerprint(records)
    data = stage.env.get('DATA_ROOT')
    same = record.get('fingerprint') == wanted
    there = all((stage.folder / name).exists() for name in stage.outputs)
    # the generator of the toy set looks itself whether all is there
    if same and record.get('done') and there and stage.folder is not None:
        print(f'{progress} {stage.title}: done before', flush=True)
        return record
    # a look at a finished toy set costs seconds that are not its making
    counted = not (same and record.get('done') and stage.folder is None)
    if counted and (not same or record.get('done')):
        if stage.folder is not None and stage.folder.exists():
            if not record and any(stage.folder.iterdir()):
                raise InputError(f'{stage.folder}: not made by this command: '
                                 'remove it or give another --work-dir')
            if record.get('data', data) != data:
                raise InputError(
                    f'{stage.folder}: made of {record["data"]} and not of '
                    f'{data}: remove it or give another --work-dir')
            shutil.rmtree(stage.folder)
        record = dict(
            fingerprint=wanted,
            done=False,
            seconds=0.0,
            interruptions=0,
            data=data)
    command = [_fill(word) for word in stage.command]
    env = {key: _fill(value) for key, value in stage.env.items()}
    resumed = stage.resume and stage.folder.exists()
    if resumed:
        at = command.index('--cfg-options')
        command.insert(at, '--resume')
    record['command'] = ' '.join(
        [f'{key}={shlex.quote(value)}' for key, value in env.items()] +
        ['python'] + [shlex.quote(word) for word in command[1:]])
    print(
        f'{progress} {stage.title}' + (', going on' if resumed else ''),
        flush=True)
    write_json(
        str(marker), dict(record, interruptions=record['interruptions'] + 1))
    start = time.perf_counter()
    try:
        _run(command, env, marker.with_suffix('.log'), progress)
        record['done'] = True
    except BaseException:
        record['interruptions'] += 1
        raise
    finally:
        spent = time.perf_counter() - start
        if counted:
            record['seconds'] = round(record['seconds'] + spent, 1)
            remember(record, progress.number, stage.files)
        write_json(str(marker), record)
    print(f'  done in {spent:.0f} s', flush=True)
    return record


def run_stages(
        stages: Sequence[Stage],
        work_dir: str,
        done: Callable[[str], None] = lambda name: None) -> Dict[str, dict]:
    """Run what is not done yet; markers by name.

    Args:
        stages (Sequence[Stage]): In their order.
        work_dir (str): See :func:`run_stage`.
        done (Callable): Told the name of each that is. Defaults to nothing.

    Raises:
        InputError: See :func:`run_stage`, or another command runs there.
    """
    records: Dict[str, dict] = {}
    names = [stage.name for stage in stages]
    shares = [stage.share for stage in stages]
    with _alone(work_dir):
        for number, stage in enumerate(stages, 1):
            progress = StageProgress(number, names, shares, records)
            records[stage.name] = run_stage(stage, work_dir, records, progress)
            done(stage.name)
    return records


@contextmanager
def _alone(work_dir: str) -> Iterator[None]:
    """Lock a work dir; the commands of its stages hold the lock, too.

    A training outlives a parent that was killed, and goes on writing there.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    path = Path(work_dir) / 'stages' / 'lock'
    make_folder(str(path.parent))
    with open(path, 'a+', encoding='utf-8') as file:
        os.set_inheritable(file.fileno(), True)
        patience = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() < patience:
                    time.sleep(0.2)
                    continue
                file.seek(0)
                raise InputError(
                    f'{work_dir}: another command is at work there: wait for '
                    f'it, or stop it (process group {file.read().strip()})'
                ) from error
            except OSError:  # a file system without locks
                break
        file.truncate(0)
        file.write(f'{os.getpgrp()}\n')
        file.flush()
        try:
            yield
        finally:
            # a child that is still there has no more to write
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)


def _load(marker: Path) -> dict:
    try:
        record = json.loads(marker.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _fill(word: str) -> str:
    """Put the latest checkpoint in the place of ``{last:DIR}``."""
    match = re.fullmatch(r'\{last:(.*)\}', word)
    return word if match is None else last_checkpoint(match[1])


def last_checkpoint(folder: str) -> str:
    """Path of the newest checkpoint of a work dir."""
    name = Path(folder) / 'last_checkpoint'
    # the file holds the path as it was; the folder may have moved
    return str(Path(folder) / Path(name.read_text().strip()).name)


def _run(command: List[str], env: Dict[str, str], log: Path,
         progress: StageProgress) -> None:
    """Run, show progress, keep everything in the log."""
    tail: deque = deque(maxlen=15)
    with open(log, 'a', encoding='utf-8') as file:
        process = subprocess.Popen(
            command,
            env={
                VARIABLE: '1' if progress.terminal else '30',
                **os.environ, 'PYTHONUNBUFFERED': '1',
                **env
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            close_fds=False,  # the lock
            text=True,
            errors='replace')
        try:
            for line in process.stdout:
                file.write(line)
                file.flush()
                tail.append(line)
                progress.show(line)
            code = process.wait()
        except Preempted as stop:
            # a training saves its iteration and says so
            process.send_signal(stop.args[0])
            with _deadline(process, _GRACE_SECONDS):
                file.writelines(process.stdout)
            raise
        finally:
            _end(process)
            progress.wipe()
    if code == Preempted.status:  # by a signal to the stage alone
        raise Preempted(signal.SIGTERM)
    if code == 130:  # Ctrl-C
        raise KeyboardInterrupt
    if code:
        lines = [line for line in tail if line.startswith('error: ')]
        if lines:
            raise InputError(f'{lines[-1][7:].strip()} (log: {log})')
        sys.stderr.writelines(tail)
        raise InputError(f'{log}: the command failed with status {code}')


@contextmanager
def _deadline(process: subprocess.Popen, seconds: float) -> Iterator[None]:
    """Do not wait forever for a command that was told to end."""
    timer = Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(process: subprocess.Popen) -> None:
    """Leave no child behind; it has had Ctrl-C of the terminal too."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with _deadline(process, 10):
            process.wait()
    process.stdout.close()
