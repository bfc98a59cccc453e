# Copyright (c) group_wsss contributors. All rights reserved.
"""What the packaged model makes of images that it has not seen.

DATA_ROOT and TEST_LIST (a list with tags) say which; masks are read by the
evaluation alone.
"""
import argparse
import os
import tempfile
from typing import List

from results import commit, data_of, need, write

from group_wsss.apis import GroupCAMInferencer
from group_wsss.apis.packaged import CLASSIFIER, PIXELS
from group_wsss.datasets import VOC_CLASSES, VOCImageLevel
from group_wsss.evaluation import evaluate_folder
from group_wsss.utils import cli
from group_wsss.utils.versions import sha256_of

# row -> are tags given, does the classifier of pixels have a say
ROWS = {
    'tags given': (True, True),
    'tags predicted': (False, True),
    'tags given, class maps alone': (True, False),
}


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('masks', help='folder of mask PNGs, evaluation only')
    parser.add_argument('--out', default='docs/benchmarks/packaged_model.json')
    return parser.parse_args()


def main() -> None:
    """Label and measure."""
    args = parse_args()
    need('DATA_ROOT', 'TEST_LIST')
    data = VOCImageLevel(
        data_root=os.environ['DATA_ROOT'],
        ann_file=os.environ['TEST_LIST'],
        data_prefix='JPEGImages')
    infos = [data.get_data_info(i) for i in range(len(data))]
    results: List[dict] = []
    for row, (given, pixels) in ROWS.items():
        more = {} if pixels else dict(
            refiners=[],
            labeler=dict(type='group_wsss.ThresholdLabeler', bg_threshold=0.4))
        inferencer = GroupCAMInferencer(device='cpu', **more)
        with tempfile.TemporaryDirectory() as folder:
            inferencer(
                [info['img_path'] for info in infos],
                tags=[list(map(int, info['gt_label']))
                      for info in infos] if given else None,
                return_vis=False,
                out_dir=folder)
            found = evaluate_folder(folder, args.masks,
                                    ('background', *VOC_CLASSES))
        results.append(
            dict(
                row=row,
                seed=0,
                mIoU=round(found['mIoU'], 3),
                images=found['images'],
                data=data_of('DATA_ROOT', 'TEST_LIST'),
                weights=[sha256_of(str(CLASSIFIER)),
                         sha256_of(str(PIXELS))],
                commit=commit()))
        print(row, results[-1]['mIoU'], flush=True)
    write(args.out, results)


if __name__ == '__main__':
    cli.run(main)
