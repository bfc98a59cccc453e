# Copyright (c) group_wsss contributors. All rights reserved.
"""Whether the trust of the report finds bad labels: against masks."""
import argparse
import json

import numpy as np
from results import commit, write

from group_wsss.contrib.report.trust import trust
from group_wsss.evaluation.masks import read_mask
from group_wsss.structures import IGNORE_INDEX, Dump
from group_wsss.utils import cli
from group_wsss.utils.files import output_path


def image_iou(label: np.ndarray, mask: np.ndarray) -> float:
    """Mean IoU in percent of all classes that either shows."""
    known = mask != IGNORE_INDEX
    label, mask = label[known], mask[known]
    classes = np.setdiff1d(np.union1d(label, mask), IGNORE_INDEX)
    return 100 * float(
        np.mean([
            np.sum((label == one) & (mask == one)) /
            np.sum((label == one) | (mask == one)) for one in classes
        ]))


def ranks(values: np.ndarray) -> np.ndarray:
    """Rank of each value; equal ones share the mean of theirs."""
    _, place, count = np.unique(
        values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('labels', help='dump that is trusted')
    parser.add_argument('before', help='dump of the step before')
    parser.add_argument('masks', help='folder of mask PNGs, evaluation only')
    parser.add_argument('--out', default='docs/benchmarks/trust.json')
    return parser.parse_args()


def main() -> None:
    """Compare trust and truth, image by image."""
    args = parse_args()
    dump, before = Dump.open(args.labels), Dump.open(args.before)
    trusts, ious = [], []
    for img_id in dump.ids:
        label = dump.read_label(img_id)
        mask = read_mask(
            output_path(args.masks, img_id, '.png'), len(dump.names),
            label.shape)
        trusts.append(trust(label, before.read_label(img_id)))
        ious.append(image_iou(label, mask))
    truth, order = np.array(ious), np.argsort(trusts)
    fifth = len(order) // 5
    correlation = np.corrcoef(ranks(np.array(trusts)), ranks(truth))[0, 1]
    found = dict(
        images=len(order),
        rank_correlation=round(float(correlation), 3),
        image_mIoU=round(float(truth.mean()), 2),
        least_trusted_fifth=round(float(truth[order[:fifth]].mean()), 2),
        most_trusted_fifth=round(float(truth[order[-fifth:]].mean()), 2),
        seed=dump.manifest and dump.manifest.seed,
        commit=commit())
    write(args.out, found)
    print(json.dumps(found, indent=1))


if __name__ == '__main__':
    cli.run(main)
