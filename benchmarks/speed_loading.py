# Copyright (c) group_wsss contributors. All rights reserved.
"""Reading and transforming images against torchvision's own pipeline."""
import argparse
import glob
import os.path as osp
from typing import Any, Callable, List

from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from results import ROOT
from speed_common import paired, ratio, seconds

from group_wsss.datasets import LoadImage
from group_wsss.utils.errors import InputError

REPEATS = 5
IMAGES = 40


def open_rgb(path: str) -> Image.Image:
    """torchvision's own default loader."""
    with open(path, 'rb') as file:
        return Image.open(file).convert('RGB')


def measure(args: argparse.Namespace, number: int = IMAGES) -> List[dict]:
    """Decoding alone, and all up to what a batch is made of."""
    from torchvision import transforms
    from torchvision.io import ImageReadMode, decode_jpeg, read_file
    folder = osp.join(args.data, 'coco540', 'JPEGImages')
    paths = sorted(glob.glob(osp.join(folder, '*.jpg')))
    if len(paths) < number:
        raise InputError(f'{folder}: {len(paths)} JPEG files, {number} are '
                         'wanted; set --data')
    paths = paths[::len(paths) // number][:number]
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(
        osp.join(ROOT, 'configs', '_base_', 'datasets', 'voc_layout_cls.py'))
    ours = Compose(cfg.train_pipeline)
    size = cfg.image_size
    shared = [
        transforms.Resize(size),
        transforms.RandomHorizontalFlip(),
    ]
    bytes_out = transforms.Compose([*shared, transforms.PILToTensor()])
    floats_out = transforms.Compose([
        *shared,
        transforms.ToTensor(),
        transforms.Normalize([.485, .456, .406], [.229, .224, .225])
    ])
    load = LoadImage()

    def each(call: Callable[[str], Any]) -> Callable[[], Any]:
        return lambda: [call(path) for path in paths]

    calls = dict(
        ours=each(
            lambda path: ours(dict(img_path=path, img_id=path, gt_label=[0]))),
        bytes=each(lambda path: bytes_out(open_rgb(path))),
        floats=each(lambda path: floats_out(open_rgb(path))),
        load=each(load.load),
        open=each(open_rgb),
        io=each(lambda path: decode_jpeg(read_file(path), ImageReadMode.RGB)))
    times = paired(calls, args.repeats)
    return [{
        'what': title,
        'ours, images a second and core': number / seconds(times[name]),
        'torchvision': number / seconds(times[other]),
        'ours is faster by': ratio(times[other], times[name]),
        'times': {name: times[name], other: times[other]}
    } for title, name, other in (
        ('decode', 'load', 'open'),
        ('the same, against torchvision.io', 'load', 'io'),
        ('decode, resize, flip, 8 bits: normalised on the device', 'ours',
         'bytes'),
        ('the same, but torchvision normalises in the loader', 'ours',
         'floats'),
    )]  # yapf: disable
