# Copyright (c) group_wsss contributors. All rights reserved.
import math
import sys
import time
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...pseudo_labels.score_size import human_bytes
from ...registry import HOOKS
from ...utils.progress import human_seconds
from .intervals import counts_iterations, report_interval

# metrics in a line, if none are named
_METRICS = 4


@HOOKS.register_module()
class EpochSummaryHook(Hook):
    """One line an epoch that a person can read.

    ``epoch 3/15  loss 0.213 (was 0.254)  tag mAP 87.1  lr 1.0e-02  41 s
    remaining 8 min  memory 1.2 GB``

    The loss is the mean over all iterations of the epoch and over all
    processes; what was trained before an interruption counts. In brackets is
    that of the epoch before. Metrics are those of the validation that
    follows the epoch, if one does: the line waits for it. The time is that
    since the last line, validation included. Memory is the most that tensors
    took of the first process's GPU; without one, the most that the process
    took.

    Where iterations are counted there is a line every ``val_interval``; if
    validation comes at the end alone, or never, there is one for each pass
    over the images, twenty at most.

    Args:
        interval (int): Epochs (see above) of one line. 0 for no lines.
            Defaults to 1.
        metrics (Sequence[str], optional): Keys of the metrics to show.
            Defaults to None, the first four numbers.
    """

    # before LoggerHook, which sets the peak of the memory back, and before
    # PseudoLabelHook labels all images after training
    priority = 'NORMAL'

    def __init__(self,
                 interval: int = 1,
                 metrics: Optional[Sequence[str]] = None) -> None:
        assert interval >= 0, 'interval must not be negative'
        self.interval = interval
        self.metrics = None if metrics is None else list(metrics)
        self._every = 0
        self._line: Optional[Dict[str, Any]] = None

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._line, self._peak = None, 0
        self._start = self._clock = time.perf_counter()
        self._first = runner.iter
        if not self.interval:
            return
        loop = runner.train_loop
        if not counts_iterations(runner):
            # a resumed epoch may be shorter than the others
            self._every = loop.max_iters // max(1, loop.max_epochs)
        elif runner.val_loop is not None and (2 * loop.val_interval
                                              <= loop.max_iters):
            self._every = loop.val_interval
        else:
            self._every = report_interval(runner)
        self._every = max(1, self._every * self.interval)

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Any = None) -> None:
        """Say the line if no validation came."""
        self._say(runner)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Prepare a line, if it is time."""
        if not self._every:
            return
        if torch.cuda.is_available():
            self._peak = max(self._peak, torch.cuda.max_memory_allocated())
        done = runner.iter + 1
        if done % self._every and done < runner.max_iters:
            return
        begin = (done - 1) // self._every * self._every
        self._line = dict(
            done=done,
            loss=_losses(runner, done - begin, self._every),
            lr=_learning_rate(runner),
            metrics={})

    def after_val_epoch(self,
                        runner: Runner,
                        metrics: Optional[Dict[str, float]] = None) -> None:
        """The metrics of the line.

        Args:
            runner (Runner): The runner.
            metrics (dict, optional): Of the validation.
        """
        if self._line is not None:
            self._line['metrics'] = metrics or {}

    def after_val(self, runner: Runner) -> None:
        """All is known: say the line, under what LoggerHook says."""
        self._say(runner)

    def after_train(self, runner: Runner) -> None:
        """The last line, before labels are written."""
        self._say(runner)

    def _say(self, runner: Runner) -> None:
        line, self._line = self._line, None
        if line is None:
            return
        now = time.perf_counter()
        done, end = line['done'], runner.max_iters
        if counts_iterations(runner):
            words = [f'iteration {done}/{end}']
        else:
            epochs = runner.max_epochs
            words = [f'epoch {math.ceil(done * epochs / end)}/{epochs}']
        if line['loss']:
            mean, before = line['loss']
            words.append(f'loss {_short(mean)}' + (
                '' if math.isnan(before) else f' (was {_short(before)})'))
        words += self._metric_words(line['metrics'])
        if line['lr'] is not None:
            words.append(f'lr {line["lr"]:.1e}')
        words.append(human_seconds(now - self._clock))
        self._clock = now
        if done < end:
            rate = (now - self._start) / max(1, done - self._first)
            words.append(f'remaining {human_seconds(rate * (end - done))}')
        memory = self._peak or _process_memory()
        if memory:
            words.append(f'memory {human_bytes(memory)}')
        if is_main_process():
            runner.logger.info('  '.join(words))

    def _metric_words(self, found: Dict[str, Any]) -> List[str]:
        """Names and values."""
        numbers = {
            key: float(value)
            for key, value in found.items()
            if isinstance(value, (int, float,
                                  np.number)) and not isinstance(value, bool)
        }
        keys = self.metrics
        words = []
        for key in list(numbers)[:_METRICS] if keys is None else keys:
            if key in numbers:
                name = key.replace('multi-label/', 'tag ').replace('/', ' ')
                digits = '.1f' if abs(numbers[key]) >= 1 else '.3g'
                words.append(f'{name} {numbers[key]:{digits}}')
        return words


def _losses(runner: Runner, count: int, before: int) -> List[float]:
    """Mean loss of the last iterations, and of those before.

    Over all processes; NaN for the second where there are none, empty if the
    model has no loss. The message hub has every loss since the start, and
    every checkpoint the message hub.
    """
    buffer = runner.message_hub.log_scalars.get('train/loss')
    if buffer is None:
        return []
    history = torch.from_numpy(buffer.data[0]).double()
    last = max(0, len(history) - count)
    # the mean of nothing is NaN
    means = torch.stack(
        [history[last:].mean(), history[max(0, last - before):last].mean()])
    all_reduce(means, op='mean')
    return means.tolist()


def _learning_rate(runner: Runner) -> Optional[float]:
    """The one that the config names, if parts of the model have others."""
    scalars = runner.message_hub.log_scalars
    for name in ('train/base_lr', 'train/lr'):
        if name in scalars:
            return float(scalars[name].current())
    return None


def _process_memory() -> int:
    """The most memory that this process took, in bytes; 0 if unknown."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else 1024 * peak


def _short(value: float) -> str:
    """Three digits."""
    return f'{value:#.3g}'.rstrip('.')
