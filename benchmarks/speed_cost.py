# Copyright (c) group_wsss contributors. All rights reserved.
"""Cost of the graph against K, with the same images in a batch."""
import argparse
from functools import partial
from typing import List, Optional

import torch
from speed_common import fitted_exponent, paired, peak_bytes, ratio, seconds
from speed_graph import NODES, build, ours

REPEATS = 5
IMAGES = 16
SIDE = 24
GROUP_SIZES = (2, 4, 8, 16)
SIDES = (16, 24, 32, 48)  # of the messages alone


def measure(args: argparse.Namespace) -> List[dict]:
    """Rows for each kind of node and way of sending."""
    kinds = [(node, pool) for node in NODES for pool in (None, 8)]
    return [measure_row(node, NODES[node], pool, args)
            for node, pool in kinds] + [
                positions(node, pool, args) for node, pool in kinds
            ]  # yapf: disable


def measure_row(node: str, options: dict, pool: Optional[int],
                args: argparse.Namespace) -> dict:
    """Seconds of a pass over the same images in groups of every size."""
    x = torch.randn(IMAGES, options['in_channels'], SIDE, SIDE)
    x = x.to(args.device).requires_grad_()
    coattention = dict(options.get('coattention', {}), pool_size=pool)
    necks = {
        k: build(node, k, 1, coattention=coattention)
        for k in GROUP_SIZES
    }
    calls = {f'K={k}': ours(neck.to(args.device), x)
             for k, neck in necks.items()}  # yapf: disable
    times = paired(calls, args.repeats, args.device)
    peak = [peak_bytes(call, args.device) for call in calls.values()]
    senders = [k - 1 for k in GROUP_SIZES]
    spent = [seconds(timing) for timing in times.values()]
    row = {'node': node, 'tokens a sender': pool**2 if pool else SIDE**2}
    row.update({f'{key} ms': 1000 * s for key, s in zip(times, spent)})
    row.update({
        'K=16 / K=2': ratio(times['K=16'], times['K=2']),
        'time ~ (K-1)^': fitted_exponent(senders, spent),
        'memory ~ (K-1)^': fitted_exponent(senders, peak),
        'times': times,
        'peak_bytes': peak
    })
    return row


def positions(node: str, pool: Optional[int],
              args: argparse.Namespace) -> dict:
    """Exponent of the time of the messages alone in the positions."""
    options = NODES[node]
    coattention = dict(options.get('coattention', {}), pool_size=pool)
    layer = build(node, 4, 1, coattention=coattention).coattention
    layer = layer.to(args.device)

    def call(nodes: torch.Tensor) -> None:
        layer(nodes).square().mean().backward()

    shapes = [(1, 4, options['in_channels'], side, side) for side in SIDES]
    calls = {str(shape[-1]): partial(call, torch.randn(shape).to(args.device))
             for shape in shapes}  # yapf: disable
    times = paired(calls, args.repeats, args.device)
    spent = [seconds(timing) for timing in times.values()]
    return {
        'node': node,
        'tokens a sender': pool**2 if pool else 'all positions',
        'messages, time ~ positions^': fitted_exponent(
            [side**2 for side in SIDES], spent),
        'times': times
    }  # yapf: disable
