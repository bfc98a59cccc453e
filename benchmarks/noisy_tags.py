# Copyright (c) group_wsss contributors. All rights reserved.
"""Labels and findings where tags are missing or wrong, against masks.

A share of the tags of TRAIN_LIST is dropped (every image keeps one), or as
many wrong ones are added, at random; the rest is as in group_size.py: one
training, whose labels are restricted to the tags that it was given. The
tags of TRAIN_LIST tell how many of the tags that `TagDoubts` lists first
are wrong.
"""
import argparse
import csv
import os
import os.path as osp
import random
from itertools import product
from typing import Dict, Set, Tuple

from group_size import options, run_row
from results import Results, data_of, need, print_table

from group_wsss.contrib.noisy_tags.tag_doubts import TABLE
from group_wsss.datasets import VOC_CLASSES
from group_wsss.utils import cli
from group_wsss.utils.files import atomic_write

# kinds of noise, and what TagDoubts calls its findings
KINDS = dict(dropped='missing?', added='wrong?')
MODELS = {'K=1': options(1, 1), 'groups': options(4, 64)}
# precision at which the recall is told
PRECISION = 0.8
Tags = Dict[str, Set[int]]


def read_tags(path: str) -> Tags:
    """Class ids by image id, from lines of an id and class ids."""
    with open(path) as file:
        lines = [line.split() for line in file if line.strip()]
    return {line[0]: set(map(int, line[1:])) for line in lines}


def make_noise(tags: Tags, kind: str, share: float, seed: int = 0) -> Tags:
    """Drop a share of all tags, or add as many that are wrong.

    No image is left without a tag; fewer are dropped if they would be.
    """
    noisy = {img_id: set(own) for img_id, own in tags.items()}
    left = round(share * sum(map(len, tags.values())))
    drops = kind == 'dropped'
    pairs = [(img_id, i) for img_id in sorted(tags)
             for i in range(len(VOC_CLASSES)) if (i in tags[img_id]) == drops]
    random.Random(seed).shuffle(pairs)
    for img_id, i in pairs:
        if left and (not drops or len(noisy[img_id]) > 1):
            noisy[img_id] ^= {i}
            left -= 1
    return noisy


def judge(table: str, tags: Tags, noisy: Tags, kind: str) -> dict:
    """How many of the first findings in a table of ``TagDoubts`` are right.

    ``changed`` is the number of tags that changed, ``found`` the share of
    them in as many findings, ``first_50`` the precision of 50 findings,
    ``recall`` that of the longest list of precision 0.8.
    """
    with open(table, newline='') as file:
        rows = [
            row for row in csv.DictReader(file) if row['kind'] == KINDS[kind]
        ]
    hits = []
    for row in rows:
        pair: Tuple[str, int] = (row['id'], VOC_CLASSES.index(row['class']))
        hits.append((pair[1] in tags[pair[0]]) != (pair[1] in noisy[pair[0]]))
    changed = sum(len(tags[img_id] ^ noisy[img_id]) for img_id in tags)
    right = [sum(hits[:n + 1]) for n in range(len(hits))]
    good = [r for n, r in enumerate(right, 1) if r >= PRECISION * n]
    return dict(
        changed=changed,
        found=round(100 * sum(hits[:changed]) / changed, 1),
        first_50=round(100 * sum(hits[:50]) / 50, 1),
        recall=round(100 * max(good, default=0) / changed, 1))


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('masks', help='folder of mask PNGs, evaluation only')
    parser.add_argument('--out', default='docs/benchmarks/noisy_tags.json')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--shares', type=float, nargs='+', default=[0.3, 0.1])
    parser.add_argument('--only', help='rows whose name has this in it')
    parser.add_argument('--work-dir', default='work_dirs/noisy_tags')
    return parser.parse_args()


def main() -> None:
    """Run what is missing and print the table."""
    args = parse_args()
    masks, work_dir = osp.abspath(args.masks), osp.abspath(args.work_dir)
    os.makedirs(work_dir, exist_ok=True)
    need('DATA_ROOT', 'TRAIN_LIST')
    data = data_of('DATA_ROOT', 'TRAIN_LIST')
    tags = read_tags(
        osp.join(os.environ['DATA_ROOT'], os.environ['TRAIN_LIST']))
    results = Results(args.out)
    for seed, share, kind in product(args.seeds, args.shares, KINDS):
        noisy = make_noise(tags, kind, share, seed)
        path = osp.join(work_dir, 'noisy_cls.txt')
        lines = (' '.join([i, *map(str, sorted(own))]) + '\n'
                 for i, own in noisy.items())
        atomic_write(path, ''.join(lines).encode())
        os.environ['TRAIN_LIST'] = path
        for model, extra in MODELS.items():
            row = f'{100 * share:.0f} % {kind}, {model}'
            if args.only and args.only not in row or results.has(row, seed):
                continue
            run = osp.join(work_dir, 'run')
            extra = [
                *extra, 'default_hooks.tag_doubts.type=group_wsss.TagDoubts'
            ]
            found = run_row(row, extra, seed, run, masks, 'otsu')
            found.update(
                judge(osp.join(run, TABLE), tags, noisy, kind), data=data)
            results.add(found)
    print_table(results.rows, ('mIoU', 'found', 'first_50', 'recall'))


if __name__ == '__main__':
    cli.run(main)
