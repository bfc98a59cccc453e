# Copyright (c) group_wsss contributors. All rights reserved.
"""How many wrong names of foreign masks the judge finds.

The foreign masks are real ones that are spoilt on purpose: a share of their
connected parts is renamed to another tag of the image, others are moved,
swallowed by a neighbour, or dropped. The judge sees class maps and
prototypes of stage 1, which has seen tags alone.
"""
import argparse
import os.path as osp
import tempfile
from typing import Dict, List, Optional, Tuple

import cv2
import numpy as np
from results import CONFIG, Results, commit

from group_wsss.datasets import load_image
from group_wsss.pseudo_labels.prototypes import Prototypes
from group_wsss.pseudo_labels.refiners import Judge
from group_wsss.structures import Dump, read_index_png
from group_wsss.utils import cli
from group_wsss.utils.progress import Progress
from group_wsss.utils.quiet import quieten

# shares of the parts that are moved, swallowed and dropped
MOVED, SWALLOWED, DROPPED, FURTHEST = 0.1, 0.1, 0.1, 20
MARGINS = [(a, b) for a in (0.0, 0.1, 0.2)
           for b in (0.0, 0.2, 0.3, 0.35, 0.4, 0.5)]


def parts_of(label: np.ndarray) -> List[Tuple[int, np.ndarray]]:
    """Class ids and masks of the connected parts of a label image."""
    found = []
    for value in np.unique(label[(label > 0) & (label < 255)]).tolist():
        count, parts = cv2.connectedComponents(
            (label == value).astype(np.uint8), connectivity=8)
        found += [(value - 1, parts == i) for i in range(1, count)]
    return found


def moved(mask: np.ndarray, by: Tuple[int, int]) -> np.ndarray:
    """A mask by so many pixels lower and further right."""
    shift = np.array([[1, 0, by[1]], [0, 1, by[0]]], np.float32)
    return cv2.warpAffine(
        mask.astype(np.uint8),
        shift,
        mask.shape[::-1],
        flags=cv2.INTER_NEAREST) > 0


def spoil(label: np.ndarray, tags: List[int], wrong: float,
          rng: np.random.Generator) -> np.ndarray:
    """Spoil the label of an image; ``wrong`` is the share of wrong names."""
    out, before = np.zeros_like(label), None
    for class_id, mask in parts_of(label):
        others = [tag for tag in tags if tag != class_id]
        dice = rng.random(4)
        by = rng.integers(-FURTHEST, FURTHEST + 1, 2)
        if dice[0] < DROPPED:
            continue
        if dice[1] < MOVED:
            mask = moved(mask, (int(by[0]), int(by[1])))
        if others and dice[2] < wrong:
            class_id = int(rng.choice(others))
        elif before is not None and dice[3] < SWALLOWED:
            class_id = before
        out[mask] = class_id + 1
        before = class_id
    return out


def truth(real: np.ndarray, mask: np.ndarray) -> Optional[int]:
    """Class id that most pixels of a region have; None for no class."""
    inside = real[mask]
    inside = inside[inside != 255]
    value = int(np.bincount(inside,
                            minlength=1).argmax()) if len(inside) else 0
    return value - 1 if value else None


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help=f'of {CONFIG}')
    parser.add_argument('dump', help='its labels, with scores')
    parser.add_argument('masks', help='folder of real masks')
    parser.add_argument('--images', required=True)
    parser.add_argument('--data', required=True, help='name of the row')
    parser.add_argument('--wrong', type=float, default=0.2)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--sweep', action='store_true', help='all margins, not the defaults')
    parser.add_argument('--out', default='docs/benchmarks/judge.json')
    return parser.parse_args()


def main() -> None:
    """Measure."""
    args = parse_args()
    quieten()
    dump = Dump.open(args.dump)
    with tempfile.TemporaryDirectory() as folder:
        judge = make_judge(args, dump, osp.join(folder, 'prototypes.npz'))
    margins = MARGINS if args.sweep else [(judge.map_margin, judge.margin)]
    counts: Dict[tuple, np.ndarray] = {}
    progress = Progress('judge')
    for done, img_id in enumerate(dump.ids, 1):
        progress(done, len(dump.ids))
        maps = dump.read_scores(img_id).resize()
        tags = maps.class_ids.tolist()
        if len(tags) < 2:
            continue
        real = read_index_png(osp.join(args.masks, f'{img_id}.png'))
        features = judge.features(
            load_image(osp.join(args.images, f'{img_id}.jpg')))
        for seed in args.seeds:
            rng = np.random.default_rng([seed, done])
            spoilt = spoil(real, tags, args.wrong, rng)
            for pair in margins:
                judge.map_margin, judge.margin = pair
                total = counts.setdefault((seed, pair), np.zeros(5, int))
                for verdict in judge.verdicts(maps, spoilt, features):
                    right = truth(real, verdict.mask)
                    if right is None or (verdict.mask.mean()
                                         < judge.min_region):
                        continue
                    bad = verdict.named != right
                    changed = verdict.class_id != verdict.named
                    total += [
                        1, bad, changed, changed and bad, bad
                        and verdict.class_id == right
                    ]
    Results(args.out).add(*(row(args, *key, *total)
                            for key, total in counts.items()))


def make_judge(args: argparse.Namespace, dump: Dump, path: str) -> Judge:
    """A judge with prototypes of the class maps of a dump."""
    empty = Prototypes(
        np.array(['']), np.array([0]), np.ones((1, 64), np.float32))
    empty.save(path)
    judge = Judge(dump.folder, path, CONFIG, args.checkpoint)
    found = []
    for img_id in dump.ids:
        image = load_image(osp.join(args.images, f'{img_id}.jpg'))
        found.append(
            Prototypes.of(
                dump.read_scores(img_id), judge.features(image), 0.7))
    judge.prototypes = Prototypes(*map(np.concatenate, zip(*found)))
    return judge


def row(args: argparse.Namespace, seed: int, pair: Tuple[float,
                                                         float], regions: int,
        wrong: int, changed: int, found: int, repaired: int) -> dict:
    """Shares in percent, and what they were made with."""
    result = dict(
        data=args.data,
        seed=seed,
        map_margin=pair[0],
        margin=pair[1],
        regions=int(regions),
        wrong=int(wrong),
        changed=int(changed),
        found=round(100 * found / max(wrong, 1), 1),
        precision=round(100 * found / max(changed, 1), 1),
        repaired=round(100 * repaired / max(wrong, 1), 1),
        command='python benchmarks/judge.py CHECKPOINT DUMP MASKS --data '
        f'{args.data} --wrong {args.wrong}' + ' --sweep' * args.sweep,
        commit=commit())
    print(
        *(f'{k} {v}' for k, v in result.items() if k != 'command'), flush=True)
    return result


if __name__ == '__main__':
    cli.run(main)
