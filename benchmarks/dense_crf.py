# Copyright (c) group_wsss contributors. All rights reserved.
"""Our dense CRF against pydensecrf2: agreement of labels and speed.

Both solve the same images from the same class probabilities, one after
the other in one process, so that both see the same load of the machine. The
probabilities are smooth random fields, one per label, upsampled from 12x12:
no mask and no model has a part in them. Images that the JSON file
already has are skipped, so an interrupted benchmark goes on.
"""
import argparse
import glob
import os
import os.path as osp
import platform
import time
from typing import Callable, List, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from results import write

from group_wsss.pseudo_labels.refiners.crf import dense_crf
from group_wsss.utils import cli
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import read_json

# bilateral sxy and srgb; the rest is the same: 10 iterations, Gaussian sxy 3
# with weight 3, bilateral weight 10
SETTINGS = {'final (80, 13)': (80, 13), 'pseudo label (50, 5)': (50, 5)}
UNARIES = ('soft', 'label')


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('images', help='folder of JPEG files')
    parser.add_argument('--number', type=int, default=30, help='images')
    parser.add_argument(
        '--labels',
        type=int,
        nargs='+',
        default=[2, 3, 4],
        help='labels with background, in turn')
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument(
        '--threads',
        type=int,
        nargs='+',
        default=[1, 2],
        help='of ours, in turn; pydensecrf has one')
    parser.add_argument('--out', default='docs/benchmarks/dense_crf.json')
    return parser.parse_args()


def random_probs(labels: int, size: Tuple[int, int], seed: int) -> np.ndarray:
    """Smooth class probabilities, float32 ``(L, H, W)``."""
    noise = torch.randn(
        1, labels, 12, 12, generator=torch.Generator().manual_seed(seed))
    logits = F.interpolate(2 * noise, size, mode='bilinear')[0]
    return logits.softmax(dim=0).numpy()


def timed(call: Callable[[], np.ndarray]) -> Tuple[np.ndarray, float, float]:
    """Result, seconds on the clock and seconds of processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return (result, time.perf_counter() - wall, time.process_time() - cpu)


def compare(path: str, labels: int, seed: int, repeats: int,
            threads: List[int]) -> List[dict]:
    """All settings and kinds of unary on one image; the fastest run counts.

    ``labels`` counts the background, ``threads`` are of ours, in turn.
    """
    from dense_crf_reference import GT_PROB, solve
    image = np.array(Image.open(path).convert('RGB'))
    probs = random_probs(labels, image.shape[:2], seed)
    rows = []
    for setting, (sxy, srgb) in SETTINGS.items():
        for unary in UNARIES:

            def ours(threads: int) -> np.ndarray:
                torch.set_num_threads(threads)
                return dense_crf(
                    probs,
                    image,
                    bilateral_sxy=sxy,
                    bilateral_srgb=srgb,
                    unary=unary,
                    gt_prob=GT_PROB,
                    device='cpu')

            runs = [[
                timed(lambda: solve(probs, image, unary, sxy, srgb)),
                *(timed(lambda: ours(count)) for count in threads)
            ] for _ in range(repeats)]
            theirs, *mine = (run[0] for run in runs[0])
            names = ['theirs', *(f'ours_{count}' for count in threads)]
            wall, cpu = np.array([[run[1:] for run in row] for row in runs
                                  ]).min(axis=0).round(4).T.tolist()
            label = theirs.argmax(axis=0)
            rows.append(
                dict(
                    image=osp.basename(path),
                    size=list(image.shape[:2]),
                    labels=labels,
                    setting=setting,
                    unary=unary,
                    load=round(os.getloadavg()[0], 1),
                    agreement=float((mine[0].argmax(axis=0) == label).mean()),
                    changed=float((probs.argmax(axis=0) != label).mean()),
                    same_bytes=all(np.array_equal(mine[0], q) for q in mine),
                    wall=dict(zip(names, wall)),
                    cpu=dict(zip(names, cpu))))
    return rows


def main() -> None:
    """Compare on evenly spaced images and print the table."""
    args = parse_args()
    paths = sorted(glob.glob(osp.join(args.images, '*.jpg')))
    if len(paths) < args.number:
        raise InputError(f'{args.images}: {len(paths)} JPEG files, '
                         f'{args.number} are wanted')
    try:
        import pydensecrf  # noqa: F401
    except ImportError:
        raise InputError('pydensecrf2 is not installed') from None
    rows = read_json(args.out)['rows'] if osp.isfile(args.out) else []
    done = {row['image'] for row in rows}
    for i in range(args.number):
        path = paths[i * len(paths) // args.number]
        if osp.basename(path) in done:
            continue
        labels = args.labels[i % len(args.labels)]
        rows += compare(path, labels, i, args.repeats, args.threads)
        print(f'{i + 1}/{args.number} {osp.basename(path)}', flush=True)
        write(
            args.out,
            dict(
                torch=torch.__version__,
                processor=platform.machine(),
                cores=os.cpu_count(),
                repeats=args.repeats,
                rows=rows))
    print_table(rows)


def print_table(rows: List[dict]) -> None:
    """Agreement and ratios of time of :func:`compare`, as Markdown."""
    counts = [name[5:] for name in rows[0]['wall'] if name != 'theirs']
    heads = [
        f'ours / theirs, {n} thread(s): {what}' for n in counts
        for what in ('sum', 'median', 'highest', 'processor time')
    ]
    print('| bilateral | unary | agreement: mean | lowest | changed by the '
          f'CRF | {" | ".join(heads)} |')
    print('| -- ' * (5 + len(heads)) + '|')
    for setting in SETTINGS:
        for unary in UNARIES:
            mine = [
                r for r in rows
                if r['setting'] == setting and r['unary'] == unary
            ]
            agreement = [r['agreement'] for r in mine]
            cells = [
                setting, unary, f'{np.mean(agreement):.2%}',
                f'{min(agreement):.2%}',
                f'{np.mean([r["changed"] for r in mine]):.1%}'
            ]
            wall, cpu = (
                np.array([list(r[clock].values()) for r in mine])
                for clock in ('wall', 'cpu'))
            for i in range(1, 1 + len(counts)):
                ratio = wall[:, i] / wall[:, 0]
                cells += [
                    f'{value:.2f}'
                    for value in (wall[:, i].sum() / wall[:, 0].sum(),
                                  np.median(ratio), ratio.max(),
                                  cpu[:, i].sum() / cpu[:, 0].sum())
                ]
            print(f'| {" | ".join(cells)} |')
    same = sum(r['same_bytes'] for r in rows)
    print(f'same bytes with {" and ".join(counts)} thread(s): {same} of '
          f'{len(rows)}')


if __name__ == '__main__':
    cli.run(main)
