# Copyright (c) group_wsss contributors. All rights reserved.
"""Where the time goes, in the peer and here: before and after.

The graph by the operators of PyTorch, label images by functions. A profiler
costs time itself, so that only shares are shown.
"""
import argparse
import cProfile
import pstats
import tempfile
from collections import Counter
from typing import Callable, Dict, List, Sequence, Tuple

import speed_dump
import torch
from speed_graph import NODES, build, ours, peers
from torch.profiler import ProfilerActivity, profile

REPEATS = 3
GROUP_SIZE, STEPS, SIDE = 4, 3, 32
IMAGES = 60
# kind -> parts of the names of operators; the first that fits counts
OPERATORS: Sequence[Tuple[str, Tuple[str, ...]]] = (
    ('fused attention', ('flash', )),
    ('softmax', ('softmax', )),
    ('matrix products', ('bmm', 'mm', 'linear')),
    ('convolutions', ('conv', )),
    ('copies', ('copy', 'cat', 'clone', 'index', 'pad', 'fill', 'zero')),
)
FUNCTIONS: Sequence[Tuple[str, Tuple[str, ...]]] = (
    ('resize', ('upsample', 'resize', 'interpolate')),
    ('strongest class', ('argmax', 'copyto', 'best', 'maximum', 'astype')),
    ('PNG', ('encode', 'ImagingDecoder', 'save', 'putpalette', 'crc32')),
    ('files', ('open', 'replace', 'stat', 'mkdir', 'close', '__exit__',
               'remove', 'write')),
)


def shares(costs: Dict[str, float],
           kinds: Sequence[Tuple[str, Tuple[str, ...]]]) -> Dict[str, float]:
    """Percent of the whole by kind.

    Args:
        costs (dict[str, float]): Seconds by name.
        kinds (Sequence): Kind and parts of names.

    Returns:
        dict[str, float]: All kinds, and ``'the rest'``.
    """
    found: Counter = Counter()
    for name, cost in costs.items():
        kind = next((kind for kind, parts in kinds if any(part in name
                                                          for part in parts)),
                    'the rest')
        found[kind] += cost
    total = sum(found.values())
    return {
        kind: 100 * found[kind] / total
        for kind in (*(kind for kind, _ in kinds), 'the rest')
    }


def operators(call: Callable[[], None], repeats: int) -> Dict[str, float]:
    """Seconds of every operator on the CPU, without those it calls."""
    call()
    with profile(activities=[ProfilerActivity.CPU]) as done:
        for _ in range(repeats):
            call()
    return {
        event.key: event.self_cpu_time_total / 1e6
        for event in done.key_averages()
    }


def functions(call: Callable[[], None], repeats: int) -> Dict[str, float]:
    """Seconds of every Python function, without those it calls."""
    call()
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(repeats):
        call()
    profiler.disable()
    costs: Counter = Counter()
    for (_, _, name), row in pstats.Stats(profiler).stats.items():
        costs[name] += row[2]
    return costs


def compare(work: str, kinds: Sequence[Tuple[str, Tuple[str, ...]]],
            peer: Dict[str, float], own: Dict[str, float]) -> List[dict]:
    """A row for each kind, with both shares."""
    before, after = shares(peer, kinds), shares(own, kinds)
    return [{
        'work': work,
        'what': kind,
        'peer, % of its time': before[kind],
        'ours, % of its time': after[kind]
    } for kind in before]


def measure(args: argparse.Namespace) -> List[dict]:
    """The graph with both kinds of nodes, and label images."""
    rows = []
    for node, options in NODES.items():
        torch.manual_seed(args.seed)
        x = torch.randn(GROUP_SIZE, options['in_channels'], SIDE, SIDE)
        x.requires_grad_()
        neck = build(node, GROUP_SIZE, STEPS)
        rows += compare(f'graph, {node} nodes', OPERATORS,
                        operators(peers(neck, x), args.repeats),
                        operators(ours(neck, x), args.repeats))
    samples = speed_dump.make_samples(IMAGES, args.seed)
    with tempfile.TemporaryDirectory() as root:
        rows += compare(
            'label images', FUNCTIONS,
            functions(lambda: speed_dump.peers(samples, f'{root}/peer', False),
                      args.repeats),
            functions(lambda: speed_dump.ours(samples, f'{root}/ours'),
                      args.repeats))
    return rows
