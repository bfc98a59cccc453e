# Copyright (c) group_wsss contributors. All rights reserved.
"""Paired timing, peak bytes, raw JSON and tables of the speed commands."""
import json
import os
import os.path as osp
import platform
import re
import statistics
import time
from typing import Any, Callable, Dict, List, Sequence, TypeVar

import torch
from results import commit, write
from torch import nn

from group_wsss.models.layers import PCAWhitening
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write
from group_wsss.utils.versions import software_versions

T = TypeVar('T', bound=nn.Module)
Timing = Dict[str, List[float]]


def environment(args: Any) -> Dict[str, Any]:
    """What the figures depend on besides the code."""
    processor = platform.processor() or platform.machine()
    if osp.isfile('/proc/cpuinfo'):
        with open('/proc/cpuinfo') as file:
            found = re.search(r'model name\s*:\s*(.+)', file.read())
        processor = found.group(1) if found else processor
    if args.device != 'cpu':
        processor = torch.cuda.get_device_name(args.device)
    return dict(
        commit=commit('tools'),
        date=time.strftime('%Y-%m-%d'),
        seed=args.seed,
        repeats=args.repeats,
        device=args.device,
        processor=processor,
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        load=round(os.getloadavg()[0], 1),
        versions=software_versions())


def without_weights(cfg: Any) -> Any:
    """A model's config that downloads nothing."""
    for backbone in (cfg.backbone, cfg.backbone.get('backbone', {})):
        backbone.pop('init_cfg', None)
        if 'weights' in backbone:
            backbone.weights = None
    return cfg


def settled(model: T) -> T:
    """A model as after many steps, whose whitening finds nothing new."""
    model.init_weights()
    for module in model.modules():
        if isinstance(module, PCAWhitening):
            # it finds its directions anew whenever the count has doubled
            module.count.fill_(1e12)
            module.fitted.fill_(1e12)
    return model.train()


def paired(calls: Dict[str, Callable[[], Any]],
           repeats: int,
           device: str = 'cpu',
           warmup: int = 1) -> Dict[str, Timing]:
    """Seconds of several functions that run in turn, A B A B ...

    The time is that of the processor, which other jobs disturb least, on the
    CPU, and that of the clock, with synchronisation, on a GPU.

    Args:
        calls (dict[str, Callable]): What to time.
        repeats (int): Runs of each.
        device (str): Where they compute. Defaults to ``'cpu'``.
        warmup (int): Rounds that do not count. Defaults to 1.

    Returns:
        dict[str, dict]: ``time`` and ``wall`` of every run, seconds.
    """
    result = {name: dict(time=[], wall=[]) for name in calls}
    for turn in range(warmup + repeats):
        for name, call in calls.items():
            _wait(device)
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            _wait(device)
            cpu, wall = (time.process_time() - cpu, time.perf_counter() - wall)
            if turn >= warmup:
                used = cpu if device == 'cpu' else wall
                result[name]['time'].append(round(used, 6))
                result[name]['wall'].append(round(wall, 6))
    return result


def _wait(device: str) -> None:
    if device != 'cpu':
        torch.cuda.synchronize(device)


def seconds(timing: Timing) -> float:
    """Median."""
    return statistics.median(timing['time'])


def ratio(above: Timing, below: Timing) -> float:
    """Median of the ratios, pair by pair."""
    return statistics.median(a / b
                             for a, b in zip(above['time'], below['time']))


def peak_bytes(call: Callable[[], Any], device: str = 'cpu') -> int:
    """Most bytes of tensors alive at once, beyond those at the start.

    On the CPU every allocation and release that PyTorch reports to its
    profiler is added up: the figure is exact, and the same on any machine.

    Args:
        call (Callable): What to measure.
        device (str): Defaults to ``'cpu'``.

    Returns:
        int: Bytes.
    """
    if device != 'cpu':
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        _wait(device)
        return torch.cuda.max_memory_allocated(device) - before
    from torch.profiler import ProfilerActivity, profile
    with profile(
            activities=[ProfilerActivity.CPU], profile_memory=True) as done:
        call()
    events = [
        e for e in done.profiler.kineto_results.events()
        if e.name() == '[memory]'
    ]
    # torch 2.1 counts in microseconds
    name = 'start_ns' if hasattr(events[0], 'start_ns') else 'start_us'
    events.sort(key=lambda event: getattr(event, name)())
    held = most = 0
    for event in events:
        held += event.nbytes()
        most = max(most, held)
    return most


def fitted_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of a straight line through the logarithms."""
    x = torch.tensor(sizes, dtype=torch.double).log()
    y = torch.tensor(values, dtype=torch.double).log()
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())


def save(path: str, env: Dict[str, Any], rows: List[dict]) -> None:
    """Write the raw results."""
    write(path, dict(environment=env, rows=rows))


def markdown(path: str) -> str:
    """Table of a file of :func:`save`; lists and dicts are left out."""
    if not osp.isfile(path):
        raise InputError(f'{path}: not measured yet')
    with open(path) as file:
        done = json.load(file)
    env, rows = done['environment'], done['rows']
    heads = list(
        dict.fromkeys(key for row in rows for key, value in row.items()
                      if not isinstance(value, (list, dict))))
    lines = [f'| {" | ".join(heads)} |', '| -- ' * len(heads) + '|']
    for row in rows:
        cells = [_cell(row.get(head)) for head in heads]
        lines.append(f'| {" | ".join(cells)} |')
    versions = env['versions']
    lines += [
        '', f'Commit {env["commit"]}, {env["date"]}, {env["processor"]}, '
        f'{env["threads"]} thread(s), torch {versions.get("torch")}, medians '
        f'of {env["repeats"]} pairs, seed {env["seed"]}; load of the machine '
        f'{env["load"]}.'
    ]
    return '\n'.join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return '-'
    if isinstance(value, float):
        return f'{value:,.3g}' if abs(value) < 1000 else f'{value:,.0f}'
    return str(value)


def update_page(page: str, table: str, text: str) -> None:
    """Put a table between ``<!-- speed_TABLE -->`` and ``<!-- end -->``."""
    with open(page) as file:
        old = file.read()
    marks = re.compile(rf'(<!-- speed_{table} -->\n).*?(<!-- end -->)', re.S)
    if not marks.search(old):
        raise InputError(f'{page}: has no place for the table {table}')
    new = marks.sub(
        lambda found: f'{found.group(1)}\n{text}\n\n{found.group(2)}', old)
    atomic_write(page, new.encode())
