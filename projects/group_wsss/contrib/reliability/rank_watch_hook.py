# Copyright (c) group_wsss contributors. All rights reserved.
import json
import os
import socket
import sys
import threading
import time
from datetime import timedelta
from typing import Any, Dict, List, Optional

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import distributed as dist

from ...engine.utils import unwrap_model
from ...registry import HOOKS
from ...utils.errors import report_to_launcher
from ...utils.launch import dist_timeout, groups_can_be_left
from .private import frame_of

# bytes of a message between two ranks
_SIZE = 256
_GO_ON, _LEAVE, _STUCK = range(3)


class _Silent(Exception):
    """A rank does not answer."""


class _Gone(Exception):
    """A rank has closed its connection."""


def _behind(states: List[Dict[str, Any]]) -> List[int]:
    """The ranks that the others wait for."""
    fewest = min(state['steps'] for state in states)
    last = [i for i, state in enumerate(states) if state['steps'] == fewest]
    busy = [i for i in last if not states[i]['waits']]
    return busy or last


@HOOKS.register_module()
class RankWatchHook(Hook):
    """End a job of several processes when one of them hangs, and name it.

    A collective operation waits for the slowest rank; torch's own timeout
    ends it without saying whom it waited for, or not at all. Here a thread
    of every rank tells rank 0, over a ``gloo`` group of their own, how many
    steps its rank has done and for how long it has done none. The job ends

    - when no rank has done a step for ``timeout`` seconds: those with the
      fewest are named, with the line of code they are in; of several, those
      that are in no collective operation;
    - when a rank has not answered at all for ``timeout`` seconds (stopped, or
      its machine is out of reach).

    A rank that has died is named as well, but it is the launcher that ends
    the others. One process needs no watch.

    A step is a forward pass or the start or end of an iteration or epoch.
    ``timeout`` must be longer than anything that one rank does while the
    others wait, such as writing a checkpoint.

    Args:
        timeout (float, optional): Seconds. Defaults to None, three quarters
            of ``env_cfg.dist_cfg.timeout`` of the config, so that it speaks
            before torch does.
    """

    priority = 'VERY_HIGH'

    def __init__(self, timeout: Optional[float] = None) -> None:
        assert timeout is None or timeout > 0, 'timeout must be positive'
        self.timeout = timeout or 0.
        self._derive = timeout is None
        self._thread: Optional[threading.Thread] = None
        self._leaving = threading.Event()
        self._group: Any = None
        self._names: List[str] = []
        self._steps, self._time = 0, 0.
        self._handle: Any = None

    def before_run(self, runner: Runner) -> None:
        """Begin to watch."""
        if get_world_size() < 2 or not dist.is_gloo_available():
            return
        if self._derive:
            self.timeout = .75 * dist_timeout(runner.cfg)
        # its own group: nothing here may wait for what training sends
        self._group = dist.new_group(
            backend='gloo', timeout=timedelta(seconds=10 * self.timeout))
        name = f'pid {os.getpid()} on {socket.gethostname()}'
        self._names = [
            f'rank {rank} ({text})'
            for rank, text in enumerate(all_gather_object(name))
        ]
        self._leaving.clear()
        self._step()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def before_train(self, runner: Runner) -> None:
        """Count forward passes: gradients are exchanged behind them."""
        self._step()
        if self._thread is not None:
            self._handle = unwrap_model(runner.model).register_forward_hook(
                self._step)

    def after_train(self, runner: Runner) -> None:
        """Count no more forward passes."""
        self._step()
        if self._handle is not None:
            self._handle.remove()

    def after_run(self, runner: Runner) -> None:
        """Wait until every rank is here."""
        self._step()
        if self._thread is not None:
            self._leaving.set()
            self._thread.join()
            self._thread = None
            if groups_can_be_left():
                dist.destroy_process_group(self._group)

    def _step(self, *args: Any, **kwargs: Any) -> None:
        self._steps += 1
        self._time = time.monotonic()

    before_train_epoch = after_train_epoch = _step
    before_train_iter = after_train_iter = _step
    before_val_iter = after_val_iter = after_val_epoch = _step
    before_test_iter = after_test_iter = after_test_epoch = _step

    # ---- the thread ----------------------------------------------------
    def _watch(self) -> None:
        try:
            while self._round() == _GO_ON:
                self._leaving.wait(min(self.timeout / 8, 5.))
        except _Silent as error:
            self._end(str(error))
        except _Gone as error:
            # it may have said why: its words and the launcher come first
            time.sleep(2)
            print(f'error: {error}', file=sys.stderr, flush=True)

    def _round(self) -> int:
        """Tell rank 0, which decides; what it has decided."""
        if get_rank():
            self._send(0, self._state())
            # rank 0 may have to wait for another one as long
            order = self._receive(0, 1.25 * self.timeout)['order']
            if order == _STUCK:  # rank 0 speaks
                time.sleep(5)
                os._exit(1)
            return order
        deadline = time.monotonic() + self.timeout
        states = [self._state()] + [
            self._receive(rank, max(deadline - time.monotonic(), .1))
            for rank in range(1, len(self._names))
        ]
        stuck = min(state['idle'] for state in states) > self.timeout
        order = _STUCK if stuck else _GO_ON
        if all(state['leaving'] for state in states):
            order = _LEAVE
        for rank in range(1, len(self._names)):
            self._send(rank, dict(order=order))
        if order == _STUCK:
            self._end('; '.join(f'{self._names[rank]} hangs: no step for '
                                f'{states[rank]["idle"]:.0f} s, it is in '
                                f'{states[rank]["where"]}'
                                for rank in _behind(states)))
        return order

    def _state(self) -> Dict[str, Any]:
        frame = frame_of(threading.main_thread())
        where, module = 'an unknown place', ''
        if frame is not None:
            code, module = frame.f_code, frame.f_globals.get('__name__', '')
            where = (f'{code.co_name} ({os.path.basename(code.co_filename)}:'
                     f'{frame.f_lineno})')
        return dict(
            steps=self._steps,
            idle=round(time.monotonic() - self._time, 3),
            leaving=self._leaving.is_set(),
            # in a collective operation, or in one inside a backward pass
            waits=module.startswith(('torch.distributed', 'torch.autograd')),
            where=where[:100])

    def _send(self, rank: int, message: Dict[str, Any]) -> None:
        data = json.dumps(message).encode().ljust(_SIZE)
        self._call(dist.isend, rank, torch.tensor(list(data)).byte(), 60.)

    def _receive(self, rank: int, timeout: float) -> Dict[str, Any]:
        data = torch.empty(_SIZE, dtype=torch.uint8)
        self._call(dist.irecv, rank, data, timeout)
        return json.loads(bytes(data.tolist()))

    def _call(self, action: Any, rank: int, data: torch.Tensor,
              timeout: float) -> None:
        start = time.monotonic()
        try:
            work = action(data, rank, group=self._group)
            work.wait(timedelta(seconds=timeout))
        except RuntimeError:
            waited = time.monotonic() - start
            if waited >= .9 * timeout:
                raise _Silent(
                    f'{self._names[rank]} hangs: no answer for {waited:.0f} '
                    's, the process or its machine has stopped') from None
            raise _Gone(f'{self._names[rank]} is gone') from None

    def _end(self, text: str) -> None:
        print(f'error: {text}', file=sys.stderr, flush=True)
        report_to_launcher(text)
        # the main thread waits in a call that nothing can interrupt
        os._exit(1)
