# Copyright (c) group_wsss contributors. All rights reserved.
"""Export a trained network, stage 1 or any mmseg segmentor, to ONNX."""
import argparse
import json
import os.path as osp
import sys
from pathlib import Path
from typing import Any, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.arguments import add_config_options, positive
from group_wsss.utils.config import inner_dataset
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write
from group_wsss.utils.progress import Progress


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of the network')
    parser.add_argument('checkpoint', help='its trained weights')
    parser.add_argument(
        '--out', help='the file (default: the checkpoint with .onnx)')
    parser.add_argument(
        '--size',
        nargs=2,
        type=positive,
        metavar=('HEIGHT', 'WIDTH'),
        help='of the images (default: what the test pipeline resizes '
        'them to)')
    parser.add_argument(
        '--dynamic',
        action='store_true',
        help='leave height and width open; --size is then an example')
    parser.add_argument(
        '--group-size',
        type=int,
        default=1,
        help='stage 1: images of a group, the anchor first (default: 1)')
    parser.add_argument('--opset', type=int, default=17)
    parser.add_argument(
        '--verify',
        action='store_true',
        help='compare with torch in onnxruntime before the file is written')
    parser.add_argument(
        '--classes',
        help='"voc", a file with one class name a line, or a dump (default: '
        'the names in the checkpoint)')
    add_config_options(parser)
    args = parser.parse_args()
    if args.opset < 14:
        parser.error('--opset must be at least 14')
    return args


def test_size(cfg: Any) -> Tuple[int, int]:
    """Height and width that the test pipeline resizes to."""
    data = inner_dataset(cfg.get('test_dataloader', None)) or {}
    for step in reversed(data.get('pipeline') or []):
        scale = step.get('scale')
        if isinstance(scale, (list, tuple)) and len(scale) == 2:
            return int(scale[1]), int(scale[0])
    raise InputError('the test pipeline names no size (scale); give --size')


def main() -> None:
    """Export."""
    args = parse_args()
    cfg = cli.load_config(args)
    cli.check_checkpoint(args.checkpoint)
    if cfg.get('model', None) is None:
        raise InputError(f'{args.config}: has no model')
    from group_wsss.apis.network import find_classes, read_checkpoint
    from group_wsss.contrib.deployment import (ClassMapGraph, LogitGraph,
                                               export_onnx, verify_onnx)
    from group_wsss.models import GroupCAM
    from group_wsss.utils.weights import build_network
    size = tuple(args.size) if args.size else test_size(cfg)
    checkpoint = read_checkpoint(args.checkpoint)
    try:
        classes = find_classes(args.classes, checkpoint, args.checkpoint, cfg)
    except InputError:
        if args.classes is not None:
            raise
        classes = ()  # the graph works without names
    net = build_network(cfg, checkpoint, args.checkpoint, len(classes) or None)
    head: Any = getattr(net, 'head', None) or getattr(net, 'decode_head', None)
    count = getattr(head, 'num_classes', None)
    if classes and count == len(classes) + 1:  # stage 2, names of a dump
        classes = ('background', *classes)
    if classes and isinstance(count, int) and count != len(classes):
        raise InputError(f'{len(classes)} class names for a network of '
                         f'{count} classes')
    if isinstance(net, GroupCAM):
        graph = ClassMapGraph(net, args.group_size)
    elif args.group_size > 1:
        raise InputError('--group-size is for stage 1, the model is '
                         f'{type(net).__name__}')
    else:
        graph = LogitGraph(net)
    metadata = dict(
        classes=json.dumps(classes),
        group_size=str(graph.group_size),
        input='float32 RGB 0..255, (group_size, 3, height, width)',
        source=osp.basename(args.checkpoint))
    data = export_onnx(graph, size, args.dynamic, args.opset, metadata)
    if args.verify:
        sizes = [size]
        if args.dynamic:
            sizes += [(size[0] + 32, size[1]), (size[0], size[1] * 3 // 2 + 1)]
        tried = Progress('sizes').over(sizes, len(sizes))
        gap = verify_onnx(data, graph, tried)
        print(f'onnxruntime and torch differ by at most {gap:.2g} at ' +
              ', '.join(f'{h}x{w}' for h, w in sizes))
    out = args.out or osp.splitext(args.checkpoint)[0] + '.onnx'
    atomic_write(out, data)
    print(f'{out}: {len(data) / 2**20:.1f} MiB, image -> '
          f'{", ".join(graph.outputs)}')


if __name__ == '__main__':
    cli.run(main)
