# Copyright (c) group_wsss contributors. All rights reserved.
"""VOC 2012 and SBD to the 10,582 images of train_aug, with tags.

Needs ``VOCtrainval_11-May-2012.tar`` and SBD's ``benchmark.tgz`` in the root
folder, or what is in them already extracted there, or ``--download``. Every
step is skipped when it is done: interrupted and started again it goes on.

Writes into ``ROOT/VOCdevkit/VOC2012``:

- ``SegmentationClassAug/``: index PNGs of VOC (copies) and SBD (converted),
- ``ImageSets/Segmentation/{aug,trainaug}.txt``: ids,
- ``ImageSets/Segmentation/{train,val,trainaug}_cls.txt``: ids and 0-based
  class ids, the image-level tags.

The tags are the objects that ``Annotations/ID.xml`` names. ``--tags`` takes a
released label file for trainaug instead. ``--tags-from-masks`` takes the
classes that occur in the masks, as many released label files do: such tags
know what somebody has segmented. Masks serve evaluation otherwise; training
reads the tags alone.

Downloads are https alone, redirections included, and are compared with their
SHA-256 before anything reads them.
"""
import argparse
import os
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.contrib.converters.archives import provide
from group_wsss.contrib.converters.voc_masks import convert_voc_mask
from group_wsss.datasets import VOC_CLASSES
from group_wsss.datasets.voc import read_voc_xml
from group_wsss.structures import read_image_list
from group_wsss.utils.arguments import add_processes
from group_wsss.utils.cli import run
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write
from group_wsss.utils.pool import Pool
from group_wsss.utils.progress import Progress

# name: (address, SHA-256)
ARCHIVES = {
    'VOCtrainval_11-May-2012.tar':
    ('https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/'
     'VOCtrainval_11-May-2012.tar',
     'e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb'),
    'benchmark.tgz':
    ('https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/'
     'semantic_contours/benchmark.tgz',
     '6a5a2918d5c73ce032fdeba876574d150d9d04113ab87540a1304cbcc715be53'),
}
VOC_TAR, SBD_TAR = ARCHIVES
VOC_DIR = 'VOCdevkit/VOC2012'
SBD_DIR = 'benchmark_RELEASE/dataset'
# what is needed of each archive; SBD's images are VOC's
VOC_WANTED = tuple(f'{VOC_DIR}/{name}/'
                   for name in ('Annotations', 'ImageSets', 'JPEGImages',
                                'SegmentationClass'))
SBD_WANTED = (f'{SBD_DIR}/cls/', f'{SBD_DIR}/train.txt', f'{SBD_DIR}/val.txt')
TRAINAUG = 10582


def read_ids(path: Path) -> List[str]:
    """Ids of a list file, checked like any image list."""
    return [record.img_id for record in read_image_list(path).records]


def id_sets(root: Path) -> Dict[str, List[str]]:
    """The lists: VOC train and val, SBD's addition, and trainaug."""
    lists = root / VOC_DIR / 'ImageSets/Segmentation'
    train, val = read_ids(lists / 'train.txt'), read_ids(lists / 'val.txt')
    sbd: Set[str] = set()
    for split in ('train', 'val'):
        sbd.update(read_ids(root / SBD_DIR / f'{split}.txt'))
    aug = sorted(sbd - set(train) - set(val))
    return dict(
        train=train, val=val, aug=aug, trainaug=sorted(set(train) | set(aug)))


def tags_from(path: str, ids: Sequence[str]) -> Dict[str, List[int]]:
    """Tags of a released list, which must name exactly these ids."""
    records = read_image_list(path, num_classes=len(VOC_CLASSES)).records
    tags = {record.img_id: list(record.labels) for record in records}
    strange = set(tags) ^ set(ids)
    if strange:
        raise InputError(f'{path}: {len(strange)} ids differ from trainaug, '
                         f'first {min(strange)!r}')
    return tags


def tags_of_objects(folder: Path, ids: Sequence[str]) -> Dict[str, List[int]]:
    """Tags of images: the names of their objects in ``folder/ID.xml``."""
    table = {name: i for i, name in enumerate(VOC_CLASSES)}
    tags = {}
    for img_id in Progress('annotations').over(ids, len(ids)):
        path = folder / f'{img_id}.xml'
        try:
            tags[img_id] = list(read_voc_xml(path.read_bytes(), table, False))
        except OSError as error:
            raise InputError(f'{path}: cannot be read ({error.strerror}): '
                             '--tags FILE or --tags-from-masks do without '
                             'it') from None
        except InputError as error:
            raise InputError(f'{path}: {error}') from None
    return tags


def convert(root: Path,
            nproc: int = 1,
            expect_count: int = TRAINAUG,
            tags_file: Optional[str] = None,
            tags_from_masks: bool = False) -> Dict[str, List[str]]:
    """Write masks and lists from the extracted folders.

    Args:
        root (Path): Holds ``VOCdevkit`` and ``benchmark_RELEASE``.
        nproc (int): Processes. Defaults to 1.
        expect_count (int): Images in trainaug. Defaults to 10582.
        tags_file (str, optional): Released label list of trainaug.
        tags_from_masks (bool): Take the classes in the masks as tags, not
            the objects in ``Annotations``. Defaults to False.

    Returns:
        dict[str, list[str]]: Ids by split.

    Raises:
        InputError: Another count, missing images, bad masks or annotations.
    """
    voc = root / VOC_DIR
    ids = id_sets(root)
    found = len(ids['trainaug'])
    if found != expect_count:
        raise InputError(f'{root}: trainaug has {found} ids, expected '
                         f'{expect_count}: VOC or SBD is incomplete')
    tags = tags_from(tags_file, ids['trainaug']) if tags_file else {}
    images = set(os.listdir(voc / 'JPEGImages'))
    lost = [i for i in ids['trainaug'] if f'{i}.jpg' not in images]
    if lost:
        raise InputError(f'{voc}/JPEGImages/{lost[0]}.jpg: no such '
                         f'image ({len(lost)} are missing)')
    names = ids['train'] + ids['val'] + ids['aug']
    if not tags_from_masks:
        known = [img_id for img_id in names if img_id not in tags]
        tags.update(tags_of_objects(voc / 'Annotations', known))
    out = voc / 'SegmentationClassAug'
    jobs = [(str(voc / f'SegmentationClass/{i}.png'), str(out / f'{i}.png'))
            for i in ids['train'] + ids['val']]
    jobs += [(str(root / SBD_DIR / f'cls/{i}.mat'), str(out / f'{i}.png'))
             for i in ids['aug']]
    print(f'{len(jobs)} masks', flush=True)
    with Pool(nproc) as pool:
        found_tags = list(pool.map(convert_voc_mask, jobs, Progress('masks')))
    tags = {**dict(zip(names, found_tags)), **tags}
    lists = voc / 'ImageSets/Segmentation'
    for split in ('train', 'val', 'trainaug'):
        lines = ''.join(' '.join([i, *map(str, tags[i])]) + '\n'
                        for i in ids[split])
        atomic_write(lists / f'{split}_cls.txt', lines.encode())
    for split in ('aug', 'trainaug'):
        atomic_write(lists / f'{split}.txt',
                     ''.join(f'{i}\n' for i in ids[split]).encode())
    return ids


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--root', default='data', help='folder of archives and results')
    parser.add_argument(
        '--download', action='store_true', help='fetch missing archives')
    tags = parser.add_mutually_exclusive_group()
    tags.add_argument('--tags', help='released list with class ids')
    tags.add_argument(
        '--tags-from-masks',
        action='store_true',
        help='the classes in the masks are the tags, not the objects in '
        'Annotations')
    add_processes(parser)
    parser.add_argument(
        '--expect-count',
        type=int,
        default=TRAINAUG,
        help='images that trainaug must have')
    parser.add_argument(
        '--no-checksum',
        action='store_true',
        help='take archives that are there without comparing their checksums')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    root = Path(args.root)
    voc_lists = f'{VOC_DIR}/ImageSets/Segmentation'
    voc_proof = (f'{voc_lists}/train.txt', f'{voc_lists}/val.txt',
                 f'{VOC_DIR}/JPEGImages', f'{VOC_DIR}/SegmentationClass')
    for name, proof, wanted in ((VOC_TAR, voc_proof, VOC_WANTED),
                                (SBD_TAR, SBD_WANTED, SBD_WANTED)):
        provide(root / name, *ARCHIVES[name], proof, wanted, args.download,
                not args.no_checksum)
    ids = convert(root, args.nproc, args.expect_count, args.tags,
                  args.tags_from_masks)
    print(f'{root / VOC_DIR}: {len(ids["trainaug"])} images in '
          f'trainaug, {len(ids["val"])} in val')


if __name__ == '__main__':
    run(main)
