# Copyright (c) group_wsss contributors. All rights reserved.
"""Label quality against group size on a VOC-layout folder with masks.

Every row is one `tools/train.py` run of a config with a few options changed,
and the mIoU of the label images it leaves. Training sees image-level labels
alone; the masks are read here, afterwards. Rows that the JSON file already
has are skipped, so an interrupted benchmark goes on.
"""
import argparse
import os
import os.path as osp
import random
import shutil
import subprocess
import sys
import time
from typing import Dict, List

from results import (CONFIG, ROOT, Results, commit, data_of, need, print_table,
                     threads)

from group_wsss.datasets import VOC_CLASSES
from group_wsss.evaluation import evaluate_folder
from group_wsss.evaluation.confusion import (SWEEP, divide, mean_known,
                                             sweep_areas, sweep_counts)
from group_wsss.evaluation.masks import read_mask
from group_wsss.structures import Dump
from group_wsss.utils import cli
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write, output_path

# the same for all rows; chosen by looking at sweeps over masks
THRESHOLD = 0.4


def options(train_k: int, test_k: int, *more: str) -> List[str]:
    """``--cfg-options`` that set the group sizes of training and test."""
    return [f'group_size={train_k}', f'test_group_size={test_k}', *more]


COATTENTION = 'model.neck.coattention'
# name -> options, after another config perhaps; 'K=...' rows are the table,
# the others take it apart
ROWS: Dict[str, List[str]] = {
    'K=1 (plain classifier)': options(1, 1),
    'K=2': options(2, 64),
    'K=3': options(3, 64, 'train_dataloader.batch_size=15'),
    'K=4 (default)': options(4, 64),
}

# partners pass through the backbone: for what a bank cannot do
NO_BANK = 'default_hooks.token_bank=None'
DROPOUT = 'model.neck.dropout'


def whitened(test_k: int) -> List[str]:
    """The graph with keys that do not learn, at its own best settings."""
    return options(4, test_k, f'{COATTENTION}.key=whitened',
                   f'{COATTENTION}.scale=25.0', 'model.neck.gamma_init=0.5')


ABLATIONS: Dict[str, List[str]] = {
    **{
        f'K=4, {number} at inference': options(4, number)
        for number in (2, 4, 8, 16, 32, 128)
    },
    **{
        f'K=4, whitened keys, {number} at inference': whitened(number)
        for number in (2, 4, 8, 16, 32, 64, 128)
    },
    'K=4, no loss after the graph':
    options(4, 64, 'model.head.graph_weight=0.0'),
    'K=4, one class for all partners (any)':
    options(4, 64, 'test_dataloader.dataset.match=any'),
    'K=4, softmax per sender':
    options(4, 64, f'{COATTENTION}.softmax=sender'),
    'K=4, 16 tokens a sender':
    options(4, 64, 'default_hooks.token_bank.pool_size=4'),
    'K=4, 64 tokens a sender':
    options(4, 64, 'default_hooks.token_bank.pool_size=8'),
    'K=4, graph dropout 0.8 / 0.7':
    options(4, 64, f'{DROPOUT}._delete_=True',
            f'{DROPOUT}.type=group_wsss.GraphDropout'),
    'K=4, graph dropout 0.95 / 0.9':
    options(4, 64, f'{DROPOUT}._delete_=True',
            f'{DROPOUT}.type=group_wsss.GraphDropout',
            f'{DROPOUT}.drop_prob=0.95', f'{DROPOUT}.drop_threshold=0.9'),
    'K=4, partners of another draw (seed 1)':
    options(4, 64, 'test_dataloader.dataset.seed=1'),
    'K=4, two rounds, 16 at inference':
    options(4, 16, NO_BANK, 'model.neck.num_steps=2'),
    'K=4, two rounds of half the share, 16 at inference':
    options(4, 16, NO_BANK, 'model.neck.num_steps=2',
            'model.neck.gamma_init=0.5'),
    'K=4, residual update that starts as the identity, 16 at inference':
    options(4, 16, NO_BANK, 'model.neck.update=residual',
            'model.neck.gamma_init=0.0'),
    'K=4, two rounds, residual, from the identity, 16 at inference':
    options(4, 16, NO_BANK, 'model.neck.num_steps=2',
            'model.neck.update=residual', 'model.neck.gamma_init=0.0'),
    'K=4, keys learned by the classification loss, 16 at inference':
    options(4, 16, NO_BANK, f'{COATTENTION}.key=learned'),
    'K=4, ConvGRU, T=3, nodes of 64 channels, 16 at inference':
    options(4, 16, NO_BANK, 'model.neck.num_steps=3', 'model.neck.update=gru',
            'model.neck.channels=64', f'{DROPOUT}._delete_=True',
            f'{DROPOUT}.type=group_wsss.GraphDropout',
            f'{COATTENTION}.key=learned', f'{COATTENTION}.key_channels=32',
            f'{COATTENTION}.scale=10.0', f'{COATTENTION}.softmax=sender',
            f'{COATTENTION}.gate=True'),
    'the released graph on the same features, K=3, T=3':
    options(
        3, 3, NO_BANK, 'train_dataloader.batch_size=15',
        'model.head.cam_weight=0.2', 'model.head.graph_weight=0.5',
        'model.neck.projection.num_convs=0',
        'model.neck.projection.num_classes=20', 'model.head.in_channels=None',
        'model.neck.num_steps=3', 'model.neck.update=gru',
        'model.neck.aggregation=concat', f'{DROPOUT}._delete_=True',
        f'{DROPOUT}.type=group_wsss.GraphDropout',
        f'{COATTENTION}.key=learned', f'{COATTENTION}.key_channels=10',
        f'{COATTENTION}.normalize=False', f'{COATTENTION}.scale=1.0',
        f'{COATTENTION}.softmax=sender', f'{COATTENTION}.gate=True',
        'test_dataloader.dataset.match=exact', 'model.head.map_source=mean'),
}


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('masks', help='folder of mask PNGs, evaluation only')
    parser.add_argument(
        '--out',
        default='docs/benchmarks/group_size.json',
        help='raw results, rows are added to it')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--ablations', action='store_true', help='the rows that take it apart')
    parser.add_argument(
        '--only', nargs='+', help='rows whose name has one of these words')
    parser.add_argument(
        '--images-per-class',
        type=int,
        metavar='N',
        help='train on a part of TRAIN_LIST (txt) only, where each class has '
        'about so many images')
    parser.add_argument(
        '--threshold',
        default=str(THRESHOLD),
        help='background threshold: a number, or otsu for one chosen without '
        'masks')
    parser.add_argument(
        '--config',
        default=CONFIG,
        help='benchmarks/configs/label_others.py labels TEST_LIST with '
        'partners from TRAIN_LIST')
    parser.add_argument('--work-dir', default='work_dirs/group_size')
    return parser.parse_args()


def write_part(list_file: str, number: int, out: str) -> int:
    """Draw lines until every class has a number of images; how many.

    A frequent class gets more, by the images that rare ones need.
    """
    with open(list_file) as file:
        lines = [line.strip() for line in file if line.strip()]
    random.Random(0).shuffle(lines)
    count: Dict[str, int] = {}
    part = []
    for line in lines:
        tags = line.split()[1:]
        if min(count.get(tag, 0) for tag in tags) < number:
            part.append(line)
            count.update({tag: count.get(tag, 0) + 1 for tag in tags})
    atomic_write(out, ('\n'.join(part) + '\n').encode())
    return len(part)


def sweep(dump_dir: str, masks: str) -> Dict[str, float]:
    """Threshold the saved scores of a dump at every value of a sweep.

    ``fixed`` is the mIoU at ``THRESHOLD``, ``oracle`` that at the best
    threshold, found by looking at the masks.
    """
    dump = Dump.open(dump_dir)
    num_classes = len(dump.names)
    counts = []
    for img_id in dump.ids:
        scores = dump.read_scores(img_id).resize()
        mask = read_mask(
            output_path(masks, img_id, '.png'), num_classes, scores.ori_shape)
        counts.append(sweep_counts(*scores.best(), mask, SWEEP, num_classes))
    hit, pred, truth = sweep_areas(counts, num_classes, len(SWEEP))
    iou = 100 * divide(hit, pred + truth - hit)
    means = [mean_known(row) for row in iou]
    best = max(range(len(means)), key=means.__getitem__)
    fixed = min(range(len(means)), key=lambda i: abs(SWEEP[i] - THRESHOLD))
    return dict(
        fixed=round(means[fixed], 3),
        oracle=round(means[best], 3),
        oracle_threshold=round(float(SWEEP[best]), 3))


def run_row(name: str,
            extra: List[str],
            seed: int,
            work_dir: str,
            masks: str,
            threshold: str = str(THRESHOLD),
            config: str = CONFIG) -> dict:
    """Train in a new work dir, dump, measure: what was run and what it gave.

    ``extra`` are ``--cfg-options``, ``threshold`` is that of the labeler.
    """
    shutil.rmtree(work_dir, ignore_errors=True)
    command = [
        'python', 'tools/train.py', config, '--work-dir', work_dir,
        '--cfg-options', f'randomness.seed={seed}',
        f'default_hooks.pseudo_labels.labeler.bg_threshold={threshold}',
        'default_hooks.pseudo_labels.keep_scores=True', *extra
    ]
    print(f'{name}, seed {seed}: {" ".join(command)}', flush=True)
    start = time.time()
    with open(f'{work_dir}.log', 'w') as log:
        code = subprocess.run([sys.executable, *command[1:]],
                              cwd=ROOT,
                              stdout=log,
                              stderr=subprocess.STDOUT).returncode
    if code:
        raise InputError(f'{work_dir}.log: the run ended with status {code}')
    seconds = time.time() - start
    dump_dir = osp.join(work_dir, 'pseudo_labels')
    result = evaluate_folder(dump_dir, masks, VOC_CLASSES)
    # the work dir may be anywhere: it is no part of the result
    command[4] = 'WORK_DIR'
    return dict(
        row=name,
        seed=seed,
        mIoU=round(result['mIoU'], 3),
        threshold=threshold,
        **sweep(dump_dir, masks),
        data=data_of('DATA_ROOT', 'TRAIN_LIST', 'TEST_LIST'),
        images=result['images'],
        seconds=round(seconds, 1),
        threads=threads(),
        command=' '.join(command),
        commit=commit())


def main() -> None:
    """Run what is missing and print the table."""
    args = parse_args()
    masks, work_dir = osp.abspath(args.masks), osp.abspath(args.work_dir)
    need('DATA_ROOT', 'TRAIN_LIST')
    os.makedirs(work_dir, exist_ok=True)
    results = Results(args.out)
    rows = ABLATIONS if args.ablations else ROWS
    if args.only:
        rows = {
            name: extra
            for name, extra in rows.items()
            if any(word in name for word in args.only)
        }
        if not rows:
            raise InputError(f'--only {" ".join(args.only)}: no such row')
    if args.images_per_class:
        number = args.images_per_class
        rows = {f'{name}, {number} a class': rows[name] for name in rows}
        whole = osp.join(os.environ['DATA_ROOT'], os.environ['TRAIN_LIST'])
        part = osp.join(work_dir, f'{number}_a_class_of_{osp.basename(whole)}')
        print(f'{part}: {write_part(whole, number, part)} images')
        os.environ['TRAIN_LIST'] = part
    for seed in args.seeds:
        for name, extra in rows.items():
            if results.has(name, seed):
                continue
            found = run_row(name, extra, seed, osp.join(work_dir, 'run'),
                            masks, args.threshold, args.config)
            results.add(found)
            print(f'    mIoU {found["mIoU"]:.2f}', flush=True)
    print_table(results.rows)


if __name__ == '__main__':
    cli.run(main)
