# Copyright (c) group_wsss contributors. All rights reserved.
"""COCO instances JSON to label images of 81 classes and image lists.

Fetch from https://cocodataset.org/#download into the root folder, for COCO
2014 (2017 is alike)

    annotations/instances_{train,val}2014.json  annotations_trainval2014.zip
    train2014/*.jpg                             train2014.zip
    val2014/*.jpg                               val2014.zip

and, for every split, this writes

    SegmentationClass/ID.png               0 background, 1..80, 255 unknown
    SegmentationClass/manifest_SPLIT.json  settings, counts, checksums
    ImageSets/SPLIT.txt                    ids
    ImageSets/SPLIT_cls.txt                ids and 0-based class ids, the tags

Classes are numbered by ascending category id, so 1..90 becomes 1..80. Label
images are for evaluation; training reads the tags alone, and those come from
the annotations, not from the pixels.

Where instances overlap, one of them gets the pixel. Two rules circulate, and
with them several archives of masks called "COCO 2014", on which one and the
same prediction gets different mIoU:

    --overlap small-over-large (default)  the instance with fewer pixels, so
        that what lies on a table is not hidden by the table; the rule of
        coco2voc
    --overlap annotation-order            whatever comes later in the JSON;
        the rule of the script that ReCAM published, together with
        --crowd background

and three things are done with crowds, regions that are only roughly outlined:

    --crowd unknown (default)  255, not evaluated, as VOC does with borders
    --crowd class              like any instance
    --crowd background         left out

So write down the checksum of the masks that a number was measured on. Files
that are there are read back and kept: the same command goes on after an
interruption.
"""
import argparse
import hashlib
import json
import os
import os.path as osp
import sys
import time
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.contrib.converters.coco_masks import (check_segmentations,
                                                      coco_renderings,
                                                      render_coco_mask)
from group_wsss.contrib.converters.coco_render import CROWD_PIXELS, OVERLAPS
from group_wsss.structures.coco_json import (CROWDS, CocoIndex, find_images,
                                             index_instances, read_instances)
from group_wsss.utils.arguments import add_processes
from group_wsss.utils.cli import run
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import (SameFolder, atomic_write, remove_leftovers,
                                    write_json)
from group_wsss.utils.pool import Pool
from group_wsss.utils.progress import Progress
from group_wsss.utils.versions import sha256_of


def checksum(hashes: Dict[str, str]) -> str:
    """SHA-256 over the sorted lines ``id hash``."""
    lines = ''.join(f'{name} {value}\n'
                    for name, value in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def begin(out: str, name: str, settings: Dict[str, Any],
          targets: Sequence[str]) -> str:
    """Claim a folder, unless label images of another origin are in it.

    Returns:
        str: The marker, to be removed when all is done.
    """
    marker = osp.join(out, f'.manifest_{name}.unfinished.json')
    manifest = osp.join(out, f'manifest_{name}.json')
    claimed = False
    for path in (marker, manifest):
        try:
            found = json.loads(Path(path).read_text())['settings']
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError):
            found = None
        if found != settings:
            raise InputError(f'{path}: its label images were made with other '
                             'settings or of another JSON: give another --out '
                             'or remove them')
        claimed = True
    foreign = None if claimed else next(filter(osp.exists, targets), None)
    if foreign:
        raise InputError(f'{foreign}: is there already, but {manifest} is '
                         'not: give another --out')
    remove_leftovers(out)
    write_json(marker, dict(settings=settings))
    return marker


def write_masks(index: CocoIndex, places: Sequence[int], name: str,
                images: Optional[str], args: argparse.Namespace) -> None:
    """Render the label images of a split and write their manifest."""
    if len(index.classes) > 254:
        raise InputError(f'{index.path}: {len(index.classes)} categories do '
                         'not fit into label images of one byte')
    started = time.perf_counter()
    check_segmentations(index)
    out = args.out or osp.join(args.root, 'SegmentationClass')
    tasks = list(
        coco_renderings(index, places, images, out, args.overlap, args.crowd))
    settings = dict(
        json_sha256=sha256_of(index.path),
        overlap=args.overlap,
        crowd=args.crowd)
    marker = begin(out, name, settings, [task.target for task in tasks])
    place = SameFolder(out)
    with Pool(args.jobs) as pool:
        done = list(pool.map(render_coco_mask, tasks, Progress()))
    place.check()
    counts = sum(result.counts for result in done)
    classes = ('background', ) + index.classes
    names = {**dict(enumerate(classes)), 255: 'unknown'}
    content = dict(
        settings=settings,
        json=index.path,
        images=len(done),
        classes=classes,
        pixels={names[i]: int(counts[i])
                for i in sorted(names)},
        sha256=checksum({r.img_id: r.file_hash
                         for r in done}),
        pixel_sha256=checksum({r.img_id: r.pixel_hash
                               for r in done}))
    manifest = osp.join(out, f'manifest_{name}.json')
    write_json(manifest, content)
    os.remove(marker)
    print(f'{name}: {len(done)} label images in {out}, '
          f'{sum(r.kept for r in done)} of them were there, '
          f'{time.perf_counter() - started:.0f} s')
    print(f'{name}: sha256 {content["sha256"]} of the files')
    print(f'{name}: sha256 {content["pixel_sha256"]} of the pixels')


def write_lists(index: CocoIndex, places: Sequence[int], name: str,
                args: argparse.Namespace) -> None:
    """Write the ids of a split, and the ids with their tags."""
    labels, offsets = index.tags(args.tag_crowds, args.min_area)
    ids, tags, bare = [], [], 0
    for place in sorted(places, key=index.img_ids.__getitem__):
        img_id = index.img_ids[place]
        if ',' in img_id or len(img_id.split()) > 1:
            raise InputError(f'{index.path}: image {img_id[:80]!r} has a '
                             'space or comma in its name, which image lists '
                             'cannot hold')
        own = labels[offsets[place]:offsets[place + 1]].tolist()
        bare += not own
        if own or args.unlabeled == 'keep':
            ids.append(f'{img_id}\n')
            tags.append(' '.join([img_id, *map(str, own)]) + '\n')
    if not ids:
        raise InputError(f'{index.path}: no image has a class')
    lists = osp.join(args.root, 'ImageSets')
    for suffix, lines in (('', ids), ('_cls', tags)):
        atomic_write(
            osp.join(lists, f'{name}{suffix}.txt'), ''.join(lines).encode())
    what = 'left out' if args.unlabeled == 'drop' else 'kept'
    print(f'{name}: {len(ids)} ids in {lists}, {bare} images without a class '
          f'{what}')


def convert(split: str, args: argparse.Namespace) -> None:
    """Convert one split, such as 'train2014'."""
    path = args.json or osp.join(args.root, 'annotations',
                                 f'instances_{split}.json')
    masks = not args.no_masks
    places: Sequence[int]
    print(f'{path}: reading', flush=True)
    index = index_instances(read_instances(path, masks), path, masks)
    images = args.images or osp.join(args.root, split)
    if osp.isdir(images):
        places, lost = find_images(index, images, args.strict)
        if lost:
            print(lost, flush=True)
    elif args.images or args.strict:
        raise InputError(f'{images}: no such folder')
    else:
        print(f'{images}: no such folder; sizes are taken from the JSON')
        images, places = None, range(len(index.img_ids))
    if masks:
        write_masks(index, places, split, images, args)
    write_lists(index, places, split, args)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--root', default='data/coco2014', help='folder of data and results')
    parser.add_argument(
        '--split',
        nargs='+',
        default=['train2014', 'val2014'],
        help='names of splits (default: train2014 val2014)')
    parser.add_argument(
        '--json',
        help='annotations (default: ROOT/annotations/instances_SPLIT.json)')
    parser.add_argument(
        '--images', help='folder of the images (default: ROOT/SPLIT)')
    parser.add_argument(
        '--out', help='label images (default: ROOT/SegmentationClass)')
    parser.add_argument('--overlap', choices=OVERLAPS, default=OVERLAPS[0])
    parser.add_argument(
        '--crowd', choices=CROWD_PIXELS, default=CROWD_PIXELS[0])
    parser.add_argument(
        '--tag-crowds',
        choices=CROWDS,
        default=CROWDS[0],
        help='whether crowds count as tags (default: keep)')
    parser.add_argument(
        '--min-area',
        type=float,
        default=0.0,
        help='annotations with fewer pixels do not count as tags (default: '
        '0)')
    parser.add_argument(
        '--unlabeled',
        choices=('drop', 'keep'),
        default='drop',
        help='list images without a class, or not (default: drop)')
    parser.add_argument(
        '--strict', action='store_true', help='all images must be there')
    parser.add_argument(
        '--no-masks', action='store_true', help='write the lists alone')
    add_processes(parser, '--jobs')
    args = parser.parse_args()
    if len(args.split) > 1 and (args.json or args.images):
        parser.error('--json and --images are for one --split')
    return args


def main() -> None:
    """Convert."""
    args = parse_args()
    for split in args.split:
        convert(split, args)


if __name__ == '__main__':
    run(main)
