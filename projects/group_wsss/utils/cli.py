# Copyright (c) group_wsss contributors. All rights reserved.
"""Helpers shared by the command lines in ``tools/``."""
import argparse
import errno
import logging
import multiprocessing
import os
import os.path as osp
import re
import signal
import sys
import tempfile
import time
from typing import Any, Callable, Dict, Optional
from urllib.error import URLError

from .config import check_sections, hooks_of, read_config, walk
from .data_flags import check_data_flags, data_variables
from .errors import InputError, describe, one_line, report_to_launcher
from .launch import groups_can_be_left
from .quiet import quieten

# the file system's own refusals: a user can cure them, a traceback cannot
_DISK_ERRORS = (errno.EACCES, errno.EDQUOT, errno.EIO, errno.EISDIR,
                errno.ENODEV, errno.ENOSPC, errno.ENOTCONN, errno.ENOTDIR,
                errno.EPERM, errno.EROFS, errno.ESTALE)
# another process went away; it has the message to show
_PEER_LOST = re.compile(
    r'closed by peer|reset by peer|Connection refused|'
    r'Broken pipe|NCCL|gloo', re.IGNORECASE)
_UNREGISTERED = re.compile(r'(\S+) is not in the (.+?) registry')
_UNEXPECTED = re.compile(
    r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")
# what the tool works on, so that a message can name it
_current: Dict[str, Any] = dict(config=None, output=None)


class Preempted(KeyboardInterrupt):
    """A batch system wants the machine back; ends with status 75."""

    status = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, try again


def heed_preemption() -> None:
    """Let SIGTERM and SIGUSR1 raise :class:`Preempted`."""

    def stop(number: int, frame: Any) -> None:
        raise Preempted(number)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, stop)


def _rank() -> int:
    return int(os.environ.get('RANK', 0))


def _world_size() -> int:
    return int(os.environ.get('WORLD_SIZE', 1))


def _config_message(error: BaseException) -> Optional[str]:
    """One line for a misspelt type or argument that the config gives."""
    if _current['config'] is None:
        return None
    settings = list(walk(dict(_current['config'].items())))
    found = _UNREGISTERED.search(str(error))
    if isinstance(error, KeyError) and found:
        name, registry = found.group(1).lstrip('\'"'), found.group(2)
        for where, value in settings:
            if where.split('.')[-1] == 'type' and value == name:
                return f'{where}: {name} is not in the {registry} registry'
    found = _UNEXPECTED.search(str(error))
    if isinstance(error, TypeError) and found:
        owner, name = found.groups()
        for where, _ in settings:
            if where.split('.')[-1] == name:
                return f'{where}: {owner} has no argument {name!r}'
    if str(error) == 'None is not a callable object':
        # mmengine looks at the optimizer's arguments before at its name
        from mmengine.registry import OPTIMIZERS
        for where, value in settings:
            if (where.endswith('optimizer.type') and isinstance(value, str)
                    and OPTIMIZERS.get(value) is None):
                return f'{where}: {value} is not in the optimizer registry'
    return None


def _message(error: BaseException) -> Optional[str]:
    """One line for what a user can cure, None for everything else."""
    if isinstance(error, FileNotFoundError) and error.filename:
        return f'{error.filename}: no such file or folder'
    if isinstance(error, (InputError, FileNotFoundError)):
        # out of a DataLoader worker: the last line of its traceback
        text = one_line(error).split('FileNotFoundError: ', 1)[-1]
        # mmengine puts "class `X` in path.py: " before it, once per level
        return re.sub(r'^(class `[^`]*` in \S+: )+', '', text)
    if isinstance(error, ImportError) and 'undefined symbol' in str(error):
        library = str(error).partition(': undefined')[0]
        return (f'{library}: compiled for another torch; uninstall this '
                'library and install it for the torch that is here')
    if isinstance(error, URLError):
        return f'a download failed: {error.reason}'
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        where = error.filename or _current['output'] or 'output'
        return f'{where}: {os.strerror(error.errno)}'
    return _config_message(error)


def _stop_workers() -> None:
    """End loader workers: at exit each would be waited for five seconds."""
    for worker in multiprocessing.active_children():
        worker.terminate()


def _fail(text: str) -> None:
    """Print one line and leave with status 2."""
    if _world_size() > 1:
        # All processes often meet the same error. The launcher ends the
        # others as soon as rank 0 leaves, so that the line appears once.
        time.sleep(5 if _rank() else 0)
        text = f'rank {_rank()}: {text}'
        report_to_launcher(text)
    print(f'error: {text}', file=sys.stderr, flush=True)
    if _world_size() > 1:
        _leave_group(2)
    sys.exit(2)


def run(main: Callable[[], None],
        again: str = 'type the same command again to go on') -> None:
    """Run a tool; turn errors in the user's input into one line.

    A wrong input ends with ``error: ...`` on stderr and status 2, Ctrl-C with
    status 130, :class:`Preempted` with 75. Anything else is a bug and keeps
    its traceback.

    Args:
        main (Callable): The tool.
        again (str): What to do after an interruption.
    """
    _current.update(config=None, output=None)
    # a full disk must not end in one traceback for each line of the log
    logging.raiseExceptions = False
    try:
        main()
    except KeyboardInterrupt as stop:
        if _rank() == 0:
            print(f'\ninterrupted: {again}', file=sys.stderr, flush=True)
        sys.exit(getattr(stop, 'status', 130))
    except SystemExit as leaving:  # a hook ends the job: PreemptionHook
        _stop_workers()
        if _world_size() > 1:
            _leave_group(leaving.code)
        raise
    except Exception as error:
        text = _message(error)
        if text is not None:
            _stop_workers()
            _fail(text)
        if _world_size() > 1 and _PEER_LOST.search(str(error)):
            time.sleep(5)  # let the process that failed be the one to speak
        report_to_launcher(describe(error))
        if _world_size() > 1 and _backend() == 'gloo':
            # Python's own exit would wait for gloo's threads
            sys.excepthook(*sys.exc_info())
            _leave_group(1)
        raise
    if _world_size() > 1:
        _leave_group()


def _backend() -> str:
    """Backend of the process group, '' outside of one."""
    if 'torch' not in sys.modules:
        return ''  # importing it would keep this rank alive for seconds
    from torch import distributed as dist
    if not (dist.is_available() and dist.is_initialized()):
        return ''
    return dist.get_backend()


def _leave_group(status: Any = None) -> None:
    """End a process of several; without a status all wait for each other."""
    backend = _backend()
    if not backend:
        return
    from torch import distributed as dist
    leave = groups_can_be_left()
    if status is None:
        dist.barrier()  # nobody goes while another still talks
        if leave:
            dist.destroy_process_group()
    if backend == 'gloo' or not leave:
        # its threads may outlive the interpreter, which then aborts
        # ("terminate called without an active exception") and fails the job
        _stop_workers()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status or 0)


def load_config(args: argparse.Namespace):
    """Read the config named by the command line and apply its overrides.

    Args:
        args (argparse.Namespace): With ``config``, ``cfg_options``,
            ``work_dir``. The work dir is, in this order, that of the command
            line, of the config, ``./work_dirs/<config stem>``.

    Returns:
        mmengine.Config: The config with ``work_dir`` set.

    Raises:
        InputError: No such file, or it is not a config.
            See also :func:`group_wsss.utils.config.check_sections`.
    """
    quieten()
    with data_variables(args):
        cfg = read_config(args.config)
    check_data_flags(args, cfg.text)
    if args.cfg_options is not None:
        try:
            cfg.merge_from_dict(args.cfg_options)
        except (KeyError, TypeError) as error:
            # a number behind the end of a list, a key of what has none
            raise InputError(f'--cfg-options: {one_line(error)}') from None
    check_sections(cfg)
    if getattr(args, 'work_dir', None) is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir', None) is None:
        stem = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('./work_dirs', stem)
    _current['config'] = cfg
    return cfg


def check_checkpoint(path: str, cfg=None) -> None:
    """Refuse a checkpoint that is not there, or that would run code.

    Args:
        path (str): File or address.
        cfg (mmengine.Config, optional): The config that will read it. Where
            it has no ``SafeLoadingHook``, as those of mmseg, the file is read
            safely here before mmengine reads it. Defaults to None.

    Raises:
        InputError: See ``group_wsss.utils.checkpoint.load_from_file``.
    """
    if '://' in path:
        return
    if not osp.isfile(osp.expanduser(path)):
        resumed = cfg is None or cfg.get('resume', False)
        whose = '' if resumed else f', which is load_from of {cfg.filename}'
        raise InputError(f'{path}: no such checkpoint{whose}')
    if cfg is not None and not hooks_of(cfg, 'SafeLoadingHook'):
        from .checkpoint import load_from_file
        load_from_file(path, map_location='cpu')


def prepare_work_dir(path: str) -> None:
    """Create the work dir and see that it takes a file.

    Raises:
        InputError: It cannot be created or written.
    """
    _current['output'] = path
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b'0')
    except OSError as error:
        raise InputError(f'{path}: cannot be written '
                         f'({error.strerror or error})') from error
