# Copyright (c) group_wsss contributors. All rights reserved.
"""Label index and group sampler on lists of any size.

Lists are made up: one class or more an image, class frequencies as in
Zipf's law. Each row is measured in a process of its own; seconds are those
of the processor, which other jobs disturb less than the clock on the wall.
Rows that the JSON file has are measured again if they are asked for; the
others stay.
"""
import argparse
import json
import os
import os.path as osp
import platform
import re
import subprocess
import sys
import tempfile
import time
import tracemalloc
from itertools import islice
from typing import Any, Dict, List, Tuple

ROOT = osp.abspath(osp.join(osp.dirname(__file__), '..'))
sys.path.insert(0, osp.join(ROOT, 'projects'))

import numpy as np

from group_wsss.utils import cli
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write

SIZES = ['82783x80', '1200000x20', '1200000x1000']
GROUP, BATCH = 4, 64
# of a stream that resumes after so many passes over the list
PASSES = 3
# longer lists are read no faster for each image, and take a minute
READ_LIMIT = 100_000


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--sizes',
        nargs='*',
        default=SIZES,
        help=f'IMAGESxCLASSES of each row (default: {" ".join(SIZES)})')
    parser.add_argument(
        '--list', help='a real image list with class ids, its row comes first')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', default='docs/benchmarks/big_lists.json')
    parser.add_argument('--row', help=argparse.SUPPRESS)
    args = parser.parse_args()
    for size in args.sizes:
        parse_size(size)
    return args


def parse_size(text: str) -> Tuple[int, int]:
    """Images and classes of ``IMAGESxCLASSES``."""
    match = re.fullmatch(r'([1-9]\d{0,9})x([1-9]\d{0,5})', text)
    if match is None:
        raise InputError(f'--sizes: {text!r} is not IMAGESxCLASSES, for '
                         'example 82783x80')
    return int(match.group(1)), int(match.group(2))


def zipf_labels(num_images: int, num_classes: int,
                seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """Made-up labels: 1 and Poisson(1) more draws of a class an image.

    The frequency of class ``c`` goes as ``1 / (c + 2)``; a class that is
    drawn twice counts once.

    Gives lengths of at least 1, and class ids, ascending in each image.
    """
    rng = np.random.default_rng([seed, num_images, num_classes])
    weight = 1 / np.arange(2, num_classes + 2)
    edges = np.cumsum(weight) / weight.sum()
    lengths = 1 + rng.poisson(1., num_images)
    # rounding may leave the last edge below 1
    classes = np.minimum(
        np.searchsorted(edges, rng.random(int(lengths.sum())), 'right'),
        num_classes - 1)
    pairs = np.repeat(np.arange(num_images), lengths) * num_classes + classes
    pairs = np.unique(pairs)
    return (np.bincount(pairs // num_classes,
                        minlength=num_images), pairs % num_classes)


class Labels:
    """The part of a dataset that the sampler needs: labels."""

    def __init__(self, lengths: np.ndarray, classes: np.ndarray) -> None:
        self.ends, self.classes = np.cumsum(lengths), classes
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.ends)

    def get_cat_ids(self, i: int) -> List[int]:
        """Class ids of an image."""
        end = self.ends[i]
        return self.classes[end - self.lengths[i]:end].tolist()


def seconds_of(function: Any, *args: Any, **kwargs: Any) -> Tuple[float, Any]:
    """Processor time of a call and what it gave."""
    start = time.process_time()
    result = function(*args, **kwargs)
    return time.process_time() - start, result


def peak_mb(function: Any, *args: Any) -> float:
    """Largest memory that a call has at a time, MiB, numpy's included."""
    tracemalloc.start()
    function(*args)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return round(peak / (1 << 20), 1)


def draw_rates(index: Any, seed: int) -> Dict[str, float]:
    """Groups a second in calls of 256."""
    rng, row = np.random.default_rng(seed), {}
    anchors = rng.integers(0, index.num_images, (200, 256))
    for match in ('exact', 'any', 'each'):
        index.partners(anchors[0], GROUP - 1, match)
        start = time.process_time()
        for epoch, some in enumerate(anchors):
            index.partners(some, GROUP - 1, match, seed, epoch)
        spent = time.process_time() - start
        row[f'{match}_groups_per_s'] = round(anchors.size / spent)
    return row


def sampler_times(folder: str, data: Labels, seed: int) -> Dict[str, float]:
    """Seconds to the first batch, of a new run and of resumed ones."""
    from mmengine.dataset import DefaultSampler, InfiniteSampler

    from group_wsss.datasets import GroupBatchSampler

    def build(kind: Any) -> Any:
        return GroupBatchSampler(
            kind(data, shuffle=True, seed=seed),
            BATCH,
            group_size=GROUP,
            index=dict(
                type='group_wsss.contrib.big_lists.mapped_index',
                folder=folder))

    row: Dict[str, float] = {}
    endless = build(InfiniteSampler)
    spent, _ = seconds_of(next, iter(endless))
    row['first_batch_s'] = round(spent, 3)
    start = time.process_time()
    count = sum(1 for _ in islice(endless, 2000))
    row['batches_per_s'] = round(count / (time.process_time() - start))
    steps = PASSES * len(data) // (BATCH // GROUP)

    def resume() -> List[int]:
        fresh.skip(steps)
        return next(iter(fresh))

    fresh = build(InfiniteSampler)
    spent, _ = seconds_of(resume)
    row.update(resume_steps=steps, resume_s=round(spent, 3))
    epochs = build(DefaultSampler)
    epochs.sampler.set_epoch(10)
    spent, _ = seconds_of(next, iter(epochs))
    row['resume_epoch_s'] = round(spent, 3)
    return row


def read_time(folder: str, data: Labels) -> float:
    """Seconds to read the list as text."""
    from group_wsss.structures import read_image_list
    path = osp.join(folder, 'list.txt')
    with open(path, 'w') as file:
        for i in range(len(data)):
            words = ' '.join(map(str, data.get_cat_ids(i)))
            file.write(f'image{i:09d} {words}\n')
    return round(seconds_of(read_image_list, path)[0], 2)


def measure(lengths: np.ndarray, classes: np.ndarray, num_classes: int,
            seed: int) -> Dict[str, Any]:
    """One row: sizes, seconds and rates."""
    from group_wsss.contrib.big_lists import MappedLabelIndex
    make = MappedLabelIndex.from_arrays
    peak = peak_mb(make, lengths, classes, num_classes)
    build, index = seconds_of(make, lengths, classes, num_classes)
    row: Dict[str, Any] = dict(
        images=len(lengths),
        classes=num_classes,
        pairs=len(classes),
        sets=len(index.set_images.sizes),
        alone=int((index.set_images.sizes == 1).sum()),
        build_s=round(build, 4),
        build_peak_mb=peak,
        bytes=index.nbytes,
        bytes_per_pair=round(index.nbytes / len(classes), 2))
    data = Labels(lengths, classes)
    with tempfile.TemporaryDirectory() as folder:
        row['save_s'] = round(seconds_of(index.save, folder)[0], 3)
        row['load_s'], index = seconds_of(MappedLabelIndex.load, folder)
        row['load_s'] = round(row['load_s'], 4)
        spent, _ = seconds_of(MappedLabelIndex.load, folder, verify=False)
        row['load_unverified_s'] = round(spent, 4)
        row.update(draw_rates(index, seed))
        row.update(sampler_times(folder, data, seed))
        row['read_s'] = None
        if len(lengths) <= READ_LIMIT:
            row['read_s'] = read_time(folder, data)
    return row


def real_labels(path: str) -> Tuple[np.ndarray, np.ndarray, int]:
    """Lengths, class ids and number of classes of an image list."""
    from group_wsss.structures import read_image_list
    labels = [record.labels for record in read_image_list(path).records]
    lengths = np.array([len(ids) for ids in labels])
    classes = np.array([c for ids in labels for c in ids], dtype=np.int64)
    if not len(classes):
        raise InputError(f'{path}: no image of the list has a class')
    return lengths, classes, int(classes.max()) + 1


def table(rows: List[Dict[str, Any]]) -> str:
    """The rows as Markdown."""
    columns = dict(
        images='images',
        classes='classes',
        sets='sets',
        build_s='build s',
        build_peak_mb='peak MiB',
        bytes='bytes',
        bytes_per_pair='a pair',
        load_s='map, verified, s',
        load_unverified_s='map s',
        exact_groups_per_s='exact groups / s',
        each_groups_per_s='each groups / s',
        first_batch_s='first batch s',
        resume_s=f'resume after {PASSES} passes, s',
        resume_epoch_s='resume an epoch, s',
        read_s='read text s')

    def cell(value: Any) -> str:
        if value is None:
            return '-'
        return f'{value:,}' if isinstance(value, int) else f'{value:g}'

    lines = [[*columns.values()], ['--:'] * len(columns)]
    lines += [[cell(row[key]) for key in columns] for row in rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def run_row(args: argparse.Namespace, row: str) -> Dict[str, Any]:
    """Measure a row in a process of its own."""
    command = [
        sys.executable,
        osp.abspath(__file__), '--row', row, '--seed',
        str(args.seed)
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f'{row}: ' + done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure every row, keep it, print the table."""
    args = parse_args()
    if args.row is not None:
        if re.fullmatch(r'\d+x\d+', args.row):
            num_images, num_classes = parse_size(args.row)
            labels = zipf_labels(num_images, num_classes, args.seed)
            result = measure(*labels, num_classes, args.seed)
        else:
            result = measure(*real_labels(args.row), args.seed)
        print(json.dumps(result))
        return
    rows: List[Dict[str, Any]] = []
    if osp.isfile(args.out):
        with open(args.out) as file:
            rows = json.load(file)
    wanted = [(size, f'made up, seed {args.seed}') for size in args.sizes]
    if args.list:
        wanted.insert(0, (args.list, osp.basename(args.list)))
    for size, labels in wanted:
        row = run_row(args, size)
        row.update(
            labels=labels,
            group_size=GROUP,
            python=platform.python_version(),
            numpy=np.__version__,
            threads=os.environ.get('OMP_NUM_THREADS', 'default'))
        rows = [
            old
            for old in rows if any(old[key] != row[key]
                                   for key in ('images', 'classes', 'labels'))
        ] + [row]
        rows.sort(key=lambda row: (row['images'], row['classes']))
        atomic_write(args.out, (json.dumps(rows, indent=1) + '\n').encode())
    print(table(rows))


if __name__ == '__main__':
    cli.run(main)
