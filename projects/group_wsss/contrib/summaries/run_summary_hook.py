# Copyright (c) group_wsss contributors. All rights reserved.
import os
import os.path as osp
import re
import shlex
import time
from typing import Dict, List, Optional, Tuple

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner, find_latest_checkpoint

from ...engine.hooks.attention_accumulation_hook import \
    AttentionAccumulationHook
from ...engine.hooks.pseudo_label_hook import PseudoLabelHook
from ...engine.utils import is_resumed
from ...pseudo_labels.score_size import human_bytes
from ...registry import HOOKS
from ...structures import DumpWriter
from ...structures.manifest import ID_LIST, MANIFEST
from ...utils.home import spell

_TEST = 'python tools/test.py {dumped} {checkpoint}'
_PLACE = re.compile(r'(["\']?)\{(\w+)\}')


@HOOKS.register_module()
class RunSummaryHook(Hook):
    """At the end of a training: what was written, and what to type next.

    Files are named with their sizes: config, checkpoint, label images,
    accumulated maps, curves and sheets, log. A run that ends by Ctrl-C or
    an error gets no summary, and what an earlier run left is not named.

    Args:
        next_command (str, optional): Defaults to None: ``next_step`` of the
            config, else ``tools/test.py`` with the config as it was run, if
            that tests something. ``{config}``, ``{dumped}`` (the config as
            it was run), ``{checkpoint}``, ``{pseudo_labels}`` and
            ``{work_dir}`` become paths; a command that needs one which this
            run has not written is not shown. ``''`` for none.
    """

    # when labels are written and the visualizer is closed
    priority = 'LOWEST'

    def __init__(self, next_command: Optional[str] = None) -> None:
        self.next_command = next_command
        self._begun: Optional[float] = None

    def before_train(self, runner: Runner) -> None:
        """From now on files count."""
        # the clock of the disk, which may be another machine's
        self._begun = time.time()
        path = osp.join(runner.log_dir, f'{runner.timestamp}.log')
        if osp.isfile(path):
            self._begun = min(self._begun, osp.getmtime(path))

    def after_run(self, runner: Runner) -> None:
        """Say it. Only a training that has come to its end gets here."""
        if self._begun is None or not is_main_process():
            return
        places = self._find(runner)
        rows = []
        for name, path in places.items():
            text = f'{shown(path)} ({human_bytes(disk_size(path))}'
            if name == 'pseudo labels':
                text += f', with {MANIFEST} and {ID_LIST}'
            rows.append((name, f'{text})'))
        width = max(len(name) for name, _ in rows)
        lines = [f'Written to {shown(runner.work_dir)}:']
        lines += [f'  {name.ljust(width)} {text}' for name, text in rows]
        command = self._command(runner, places)
        if command:
            lines += ['Next:', f'  {command}']
        runner.logger.info('\n'.join(lines))

    def _find(self, runner: Runner) -> Dict[str, str]:
        """Files that this run has written, in the order of the summary."""
        found: List[Tuple[str, Optional[str]]] = [
            ('config', _dumped(runner)),
            ('last checkpoint', self._checkpoint(runner)),
        ]
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook):
                best = getattr(hook, 'best_ckpt_path', None)
                found.append(('best checkpoint', best))
            elif isinstance(hook, PseudoLabelHook):
                found.append(('pseudo labels', self._labels(hook.writer)))
            elif isinstance(hook, AttentionAccumulationHook):
                found.append(('accumulated maps', hook.merged_dir))
                found.append(('accumulated labels', self._labels(hook.writer)))
        curves = osp.join(runner.log_dir, 'vis_data')
        log = osp.join(runner.log_dir, f'{runner.timestamp}.log')
        found += [('curves, images', curves), ('log', log)]
        return {
            name: path
            for name, path in found if path and osp.exists(path)
        }

    def _checkpoint(self, runner: Runner) -> Optional[str]:
        """The newest one of this run; after a resume it may be older."""
        for hook in runner.hooks:
            path = getattr(hook, 'last_ckpt', None)
            if isinstance(hook, CheckpointHook) and path and self._new(path):
                return path
        if is_resumed(runner):
            return find_latest_checkpoint(runner.work_dir)
        return None

    def _labels(self, writer: Optional[DumpWriter]) -> Optional[str]:
        """Folder of the labels, if this run has finished them."""
        if writer and self._new(osp.join(writer.out_dir, MANIFEST)):
            return writer.out_dir
        return None

    def _new(self, path: str) -> bool:
        """True for a file written since training began."""
        # file systems may keep whole seconds
        return (self._begun is not None and osp.exists(path)
                and osp.getmtime(path) >= self._begun - 2)

    def _command(self, runner: Runner, places: Dict[str, str]) -> str:
        """The next command with all its paths, '' if it cannot be given."""
        command = self.next_command
        if command is None:
            command = runner.cfg.get('next_step', None)
        if command is None:
            tests = runner.cfg.get('test_dataloader', None) is not None
            command = _TEST if tests else ''
        values = dict(
            config=getattr(runner.cfg, 'filename', None),
            dumped=places.get('config'),
            work_dir=runner.work_dir,
            checkpoint=places.get('last checkpoint'),
            pseudo_labels=places.get('pseudo labels'))
        for key in _PLACE.findall(command):
            if key[1] in values and not values[key[1]]:
                return ''

        def fill(match: 're.Match') -> str:
            quote, key = match.groups()
            if key not in values:
                return match[0]
            path = shown(values[key])
            # a shell takes a blank for the end of a word
            return f'{quote}{path}' if quote else shlex.quote(path)

        return _PLACE.sub(fill, spell(command))


def shown(path: str) -> str:
    """A path as one would type it here.

    Args:
        path (str): Absolute or not.

    Returns:
        str: Relative to the current folder if it lies below it.
    """
    near = osp.relpath(path)
    return path if near.startswith(osp.pardir) else near


def disk_size(path: str) -> int:
    """Bytes of a file, or of all files below a folder.

    Args:
        path (str): Of either.

    Returns:
        int: Bytes; 0 for what is gone in the meantime.
    """
    files = [
        osp.join(root, name) for root, _, names in os.walk(path)
        for name in names
    ]
    return sum(
        osp.getsize(file) for file in files or [path] if osp.isfile(file))


def _dumped(runner: Runner) -> Optional[str]:
    """The config that the runner has put into the work dir."""
    name = getattr(runner.cfg, 'filename', None)
    name = osp.basename(name) if name else f'{runner.timestamp}.py'
    path = osp.join(runner.work_dir, name)
    return path if osp.isfile(path) else None
