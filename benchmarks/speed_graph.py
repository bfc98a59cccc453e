# Copyright (c) group_wsss contributors. All rights reserved.
"""Forward and backward of the graph module against the peer."""
import argparse
from typing import Callable, Dict, List, Optional

import torch
from peer import peer_graph
from speed_common import fitted_exponent, paired, peak_bytes, ratio, seconds

from group_wsss.models import CoAttentionGNN

REPEATS = 2
# as in configs/_base_/models and in configs/group_wsss/reference.py
NODES: Dict[str, dict] = {
    'feature':
    dict(in_channels=64, coattention=dict(normalize=True, scale=10.0)),
    'logit': dict(in_channels=20),
}
WIDE = dict(NODES['feature'], in_channels=256)
# multiplications of one round; beyond them a run is not repeated
SMALL = 2 * 10**10
# more bytes of attention matrices than this: the peer is not run
PEER_LIMIT = 6 * 2**30


def nodes_of(node: str) -> dict:
    """Options of the neck; ``'wide'`` nodes have four times the channels."""
    return WIDE if node == 'wide' else NODES[node]


def build(node: str, k: int, steps: int, **more) -> CoAttentionGNN:
    """The neck, with dropout by masks always: the peer's coin is another."""
    options = {**nodes_of(node), **more}
    return CoAttentionGNN(
        num_steps=steps,
        group_size=k,
        dropout=dict(type='group_wsss.GraphDropout', drop_prob=1.0),
        **options).train()


def ours(neck: CoAttentionGNN,
         x: torch.Tensor,
         bfloat16: bool = False) -> Callable[[], None]:
    """One forward and backward pass, by autocast if asked for."""

    def call() -> None:
        neck.zero_grad()
        x.grad = None
        with torch.autocast(x.device.type, torch.bfloat16, bfloat16):
            loss = neck((x, ))[-1].float().square().mean()
        loss.backward()

    return call


def peers(neck: CoAttentionGNN, x: torch.Tensor) -> Callable[[], None]:
    """The same numbers, image by image and pair by pair."""

    def call() -> None:
        neck.zero_grad()
        x.grad = None
        states = peer_graph(neck, x.split(1))
        torch.cat(states).square().mean().backward()

    return call


def measure_case(node: str, k: int, side: int, steps: int,
                 args: argparse.Namespace) -> dict:
    """A row: plain, with checkpointing, and with pooled messages."""
    torch.manual_seed(args.seed)
    x = torch.randn(k, nodes_of(node)['in_channels'], side, side)
    x = x.to(args.device).requires_grad_()
    neck = build(node, k, steps).to(args.device)
    saving = build(node, k, steps, with_cp=True).to(args.device)
    pooled = dict(nodes_of(node).get('coattention', {}), pool_size=16)
    pooled = build(node, k, steps, coattention=pooled).to(args.device)
    calls = {'ours': ours(neck, x)}
    if k * (k - 1) * steps * 4 * side**4 <= PEER_LIMIT:
        calls['peer'] = peers(neck, x)
    calls['bfloat16'] = ours(neck, x, True)
    calls['checkpointed'] = ours(saving, x)
    calls['pooled'] = ours(pooled, x)
    peak: Dict[str, int] = {}

    def watched(name: str) -> Callable[[], None]:

        def call() -> None:
            peak[name] = peak_bytes(calls[name], args.device)

        return call

    if k * (k - 1) * steps * side**4 * x.shape[1] <= SMALL:
        times = paired(calls, args.repeats, args.device)
        for name in calls:
            watched(name)()
    else:  # many seconds each: time and memory in one run
        times = paired({n: watched(n) for n in calls}, 1, args.device, 0)

    def faster(name: str) -> Optional[float]:
        return ratio(times['peer'], times[name]) if 'peer' in times else None

    def smaller(name: str) -> Optional[float]:
        return peak['peer'] / peak[name] if 'peer' in peak else None

    return {
        'node': f'{node}, {x.shape[1]} channels',
        'K': k,
        'T': steps,
        'positions': f'{side}x{side}',
        'ours ms': 1000 * seconds(times['ours']),
        'times faster': faster('ours'),
        'ours MiB': peak['ours'] / 2**20,
        'times less memory': smaller('ours'),
        'bfloat16: faster': faster('bfloat16'),
        'less memory (bfloat16)': smaller('bfloat16'),
        'checkpointed: faster': faster('checkpointed'),
        'less memory (checkpointed)': smaller('checkpointed'),
        '256 pooled tokens: faster': faster('pooled'),
        'less memory (pooled)': smaller('pooled'),
        'times': times,
        'peak_bytes': peak,
    }


def measure(args: argparse.Namespace) -> List[dict]:
    """All cases; T = 3 for small groups and T = 1 where it takes long."""
    cases = [(node, k, side, 3 if k <= 4 and side <= 32 else 1)
             for node in NODES for side in (32, 64) for k in (3, 4, 8, 16)]
    cases += [(node, 4, 64, 3) for node in NODES]
    cases += [('wide', 4, 32, 3), ('wide', 4, 64, 1)]
    if not args.full:
        cases = [c for c in cases if c[2] == 32 or c[1] <= 4]
    rows = []
    for case in cases:
        rows.append(measure_case(*case, args))
        print(*case, f'{rows[-1]["times faster"]}', flush=True)
    return rows + [linearity(node, args) for node in NODES]


def linearity(node: str, args: argparse.Namespace) -> dict:
    """Exponent of the peak memory in the number of positions."""
    sides, peak = (16, 32, 64), []
    for side in sides:
        x = torch.randn(4, NODES[node]['in_channels'], side, side)
        x = x.to(args.device).requires_grad_()
        neck = build(node, 4, 1).to(args.device)
        peak.append(peak_bytes(ours(neck, x), args.device))
    exponent = fitted_exponent([side**2 for side in sides], peak)
    return {
        'node': node,
        'K': 4,
        'T': 1,
        'positions': f'memory ~ positions^{exponent:.3f}',
        'sides': list(sides),
        'peak': peak
    }
