# Copyright (c) group_wsss contributors. All rights reserved.
"""Cost of the graph against K, with the same images in a batch."""
import argparse
from typing import List

import torch
from speed_common import fitted_exponent, paired, peak_bytes, ratio, seconds
from speed_graph import NODES, build, ours

REPEATS = 5
IMAGES = 16
SIDE = 24
GROUP_SIZES = (2, 4, 8, 16)


def measure(args: argparse.Namespace) -> List[dict]:
    """One row for each kind of node and way of sending."""
    rows = []
    for node, options in NODES.items():
        for pool in (None, 8):
            rows.append(measure_row(node, options, pool, args))
    return rows + [
        positions(node, pool, args) for node in NODES for pool in (None, 8)
    ]


def measure_row(node: str, options: dict, pool, args) -> dict:
    """Seconds of a pass over the same images in groups of every size."""
    x = torch.randn(IMAGES, options['in_channels'], SIDE, SIDE)
    x = x.to(args.device).requires_grad_()
    coattention = dict(options.get('coattention', {}), pool_size=pool)
    calls = {
        f'K={k}':
        ours(build(node, k, 1, coattention=coattention).to(args.device), x)
        for k in GROUP_SIZES
    }
    times = paired(calls, args.repeats, args.device)
    peak = [peak_bytes(call, args.device) for call in calls.values()]
    senders = [k - 1 for k in GROUP_SIZES]
    return {
        'node':
        node,
        'tokens a sender':
        pool**2 if pool else SIDE**2,
        **{
            f'{name} ms': 1000 * seconds(timing)
            for name, timing in times.items()
        }, 'K=16 / K=2':
        ratio(times['K=16'], times['K=2']),
        'time ~ (K-1)^':
        fitted_exponent(senders, [seconds(t) for t in times.values()]),
        'memory ~ (K-1)^':
        fitted_exponent(senders, peak),
        'times':
        times,
        'peak_bytes':
        peak
    }


def positions(node: str, pool, args) -> dict:
    """Exponent of the time of the messages alone in the positions."""
    sides = (16, 24, 32, 48)
    options = NODES[node]
    coattention = dict(options.get('coattention', {}), pool_size=pool)
    layer = build(node, 4, 1, coattention=coattention).coattention
    layer = layer.to(args.device)
    calls = {}
    for side in sides:
        nodes = torch.randn(1, 4, options['in_channels'], side, side)
        nodes = nodes.to(args.device)

        def call(nodes: torch.Tensor = nodes) -> None:
            layer(nodes).square().mean().backward()

        calls[str(side)] = call
    times = paired(calls, args.repeats, args.device)
    return {
        'node':
        node,
        'tokens a sender':
        pool**2 if pool else 'all positions',
        'messages, time ~ positions^':
        fitted_exponent([side**2 for side in sides],
                        [seconds(t) for t in times.values()]),
        'times':
        times
    }
