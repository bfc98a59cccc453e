# Copyright (c) group_wsss contributors. All rights reserved.
"""All rows of a GPU, written after each; gpu.sh starts it and says how."""
import argparse
import gc
import os
import os.path as osp
import sys
import threading
import time
from functools import partial
from typing import Any, Callable, Dict, List

sys.path.insert(0, osp.dirname(osp.abspath(__file__)))

import gpu_runs as runs
import speed_common as common
import speed_gpu as table
import torch
from mmengine.logging import MMLogger
from results import ROOT

from group_wsss.datasets import generate_toy
from group_wsss.utils import cli
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import read_json

# seconds that a row may take; compiling takes longest
LIMIT = 75.
# seconds that the recipe leaves for judging its labels
REST = 15.
Rows = Dict[str, Callable[[], Dict[str, Any]]]


def parse_args() -> argparse.Namespace:
    """Command line."""
    work = osp.join(ROOT, 'work_dirs', 'gpu')
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='cuda', help='cuda or cpu')
    parser.add_argument(
        '--tiny', action='store_true', help='sizes that say nothing')
    parser.add_argument('--work-dir', default=work, help='of the recipe')
    parser.add_argument('--out', default=osp.join(work, 'speed_gpu.json'))
    parser.add_argument('--commit', help='where there is no git')
    parser.add_argument('--only', nargs='+', help='first words of rows')
    parser.add_argument(
        '--seconds', type=float, default=480., help='for all rows')
    parser.add_argument(
        '--go-on', action='store_true', help='leave out rows that failed')
    parser.add_argument(
        '--page', help='put the table of --out there and measure nothing')
    return parser.parse_args()


def all_rows(args: argparse.Namespace, left: Callable[[], float]) -> Rows:
    """Give what each row does, in their order."""
    sizes = table.TINY if args.tiny else table.Sizes()
    data = osp.join(ROOT, '.gpu', 'voc1155')
    if args.tiny:
        data = osp.join(args.work_dir, 'toy')
        generate_toy(data, 24, 1, 48)
    cases: List[tuple] = [(kind, name) for kind in (table.train, table.kernels)
                          for name in ('VGG16', 'ResNet-50')]
    cases += [(table.groups, name, k) for k in sizes.group_sizes
              for name in ('VGG16', 'ResNet-50')]
    cases += [(runs.waits, 'VGG16'), (runs.waits, 'Lite0'),
              (runs.labels, 'ResNet-50', 1),
              (runs.labels, 'ResNet-50', sizes.group_sizes[0]),
              (runs.same, 'VGG16'), (table.compiled, 'ResNet-50'),
              (table.compiled, 'VGG16')]
    rows: Rows = {
        ' '.join([kind.__name__, name, *(f'K={k}' for k in more)]):
        partial(kind, name, *more, sizes, args.device)
        for kind, name, *more in cases
    }
    rows['loader'] = partial(runs.loader, data, sizes, args.device)
    rows['recipe'] = lambda: runs.recipe(data, args.work_dir, args.tiny,
                                         left() - REST)
    return rows


class Results:
    """Rows on disk, a line for each figure."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.path = args.out
        self.env = common.environment(
            argparse.Namespace(seed=0, repeats=5, device=args.device))
        self.env['commit'] = args.commit or self.env['commit']
        self.lines: List[dict] = []
        if osp.isfile(self.path):
            self.lines = read_json(self.path)['rows']
        for line in self.lines:
            if line['what'] == 'started':  # it took its process along
                line.update(what='failed', value='the process was killed')
        if not args.go_on:
            failed = {x['row'] for x in self.lines if x['what'] == 'failed'}
            self.lines = [x for x in self.lines if x['row'] not in failed]

    def put(self, name: str, **found: Any) -> None:
        """Replace a row; raw values go with its first figure."""
        raw = {k: v for k, v in found.items() if isinstance(v, dict)}
        new = [
            dict(row=name, what=what, value=value)
            for what, value in found.items() if what not in raw
        ]
        new[0].update(raw)
        self.lines = [x for x in self.lines if x['row'] != name] + new
        common.save(self.path, self.env, self.lines)
        for x in new:
            print(f'{name}: {x["what"]}: {x["value"]}', flush=True)


def run_row(results: Results, name: str, row: Callable[[], Dict[str, Any]],
            limit: float) -> None:
    """Run a row; whatever happens in it, the next one has its turn."""

    def give_up() -> None:
        # a call that hangs cannot be stopped: gpu.sh starts another process
        results.put(name, failed=f'not done in {limit:.0f} s')
        os._exit(3)

    timer = threading.Timer(limit, give_up)
    timer.daemon = True
    results.put(name, started=time.strftime('%H:%M:%S'))
    start = time.perf_counter()
    timer.start()
    try:
        found = row()
    except Exception as error:
        text = f'{type(error).__name__}: {error}'
        found = dict(failed=text.splitlines()[0][:300])
    finally:
        timer.cancel()
    results.put(name, **found, seconds=time.perf_counter() - start)
    torch.compiler.reset()
    gc.collect()
    # fails where the row has spoilt the GPU for this process
    torch.cuda.empty_cache()


def main() -> None:
    """Run the rows that are not there."""
    args = parse_args()
    end = time.monotonic() + args.seconds
    if args.page:
        return common.update_page(args.page, 'gpu', common.markdown(args.out))
    if args.device != 'cpu' and not torch.cuda.is_available():
        raise InputError(f'--device {args.device}: torch sees no GPU')
    MMLogger.get_instance('speed', log_level='ERROR')
    results = Results(args)
    for name, row in all_rows(args, lambda: end - time.monotonic()).items():
        limit = end - time.monotonic()
        if any(line['row'] == name for line in results.lines) or (
                args.only and not name.startswith(tuple(args.only))):
            continue
        if limit < REST:
            results.put(name, failed='no time was left')
            continue
        if name != 'recipe' and not args.tiny:
            limit = min(limit, LIMIT)
        run_row(results, name, row, limit)


if __name__ == '__main__':
    cli.run(main)
