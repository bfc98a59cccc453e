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

Without ``--tags`` the tags of trainaug are the classes that occur in the
masks, as the field does. Masks are read for nothing else; training reads the
tags alone. ``--tags`` takes a released label file instead.

Downloads are https alone, redirections included, and are compared with their
SHA-256 before anything reads them.
"""
import argparse
import http.client
import io
import os
import sys
import tarfile
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Dict, Iterator, List, Optional, Sequence, Set, Tuple
from urllib.error import HTTPError

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.datasets import VOC_CLASSES
from group_wsss.structures import read_image_list
from group_wsss.structures.label_image import voc_palette
from group_wsss.utils.cli import run
from group_wsss.utils.download import check_scheme, open_url, verify
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write
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
_CHUNK = 1 << 20
# no image, mask or list of VOC and SBD is as large
_MAX_MEMBER = 1 << 26


def download(url: str,
             path: Path,
             sha256: str,
             attempts: int = 5,
             wait: float = 2.0) -> None:
    """Fetch a file; goes on with what an earlier call left behind.

    Args:
        url (str): https.
        path (Path): Where it goes, after the checksum agreed.
        sha256 (str): Checksum, mandatory.
        attempts (int): Tries in a row without progress. Defaults to 5.
        wait (float): Seconds between tries. Defaults to 2.

    Raises:
        InputError: Not https, no connection, a wrong checksum.
    """
    check_scheme(url)
    if path.exists():
        verify(path, sha256)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + '.part')
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _fetch(url, part, before):
                break
            reason = 'the connection was closed early'
        except HTTPError as error:
            reason = f'the server says {error.code} {error.reason}'
            if error.code < 500:
                failures = attempts
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, 'reason', error)) or repr(error)
        now = part.stat().st_size if part.exists() else 0
        failures = 0 if now > before else failures + 1
        if failures >= attempts:
            raise InputError(f'{url}: {reason}; the same command goes on '
                             'from here')
        time.sleep(wait)
    try:
        verify(part, sha256)
    except InputError as error:
        part.unlink()  # going on from wrong bytes cannot end well
        raise InputError(f'{url}: {error}; deleted') from None
    os.replace(part, path)


def _fetch(url: str, part: Path, start: int) -> bool:
    """Append to ``part`` from byte ``start``; True if it is complete."""
    try:
        answer = open_url(url, start)
    except HTTPError as error:
        if error.code == 416 and start:
            # nothing after `start`: complete, or longer than the original
            return True
        raise
    with answer:
        sent = answer.headers.get('Content-Range', '')
        if answer.status != 206 or not sent.startswith(f'bytes {start}-'):
            start = 0  # the server sends the whole file
        length = answer.headers.get('Content-Length')
        total = None if length is None else start + int(length)
        done, shown = start, -1
        with open(part, 'ab' if start else 'wb') as file:
            for piece in iter(lambda: answer.read(_CHUNK), b''):
                file.write(piece)
                done += len(piece)
                percent = 100 * done // total if total else 0
                if percent >= shown + 5:
                    shown = percent
                    print(
                        f'{part.stem}: {done >> 20} MB, {percent} %',
                        flush=True)
    return total is None or done >= total


def _members(archive: tarfile.TarFile,
             wanted: Sequence[str]) -> Iterator[tarfile.TarInfo]:
    """Members to extract, each one checked."""
    for member in archive:
        name = member.name[2:] if member.name.startswith('./') else member.name
        parts = PurePosixPath(name).parts
        if (name.startswith('/') or '..' in parts or '\\' in name
                or '\0' in name or (parts and ':' in parts[0])):
            raise InputError(f'unsafe member {member.name[:80]!r}')
        if not name.startswith(tuple(wanted)) or parts[-1].startswith('._'):
            continue
        if member.isdir():
            continue
        if not member.isfile():
            raise InputError(f'member {member.name[:80]!r} is a link or a '
                             'device')
        if member.size > _MAX_MEMBER:
            raise InputError(f'member {member.name[:80]!r} has {member.size} '
                             'bytes')
        member.name = name
        yield member


def extract(path: Path, root: Path, wanted: Sequence[str]) -> int:
    """Extract the wanted files of an archive, none outside ``root``.

    Only regular files are written, by our own code: links and devices are
    refused, owners and modes are not taken over. All members are checked
    before the first is written; files that are there are left alone.

    Args:
        path (Path): The tar or tgz.
        root (Path): Where to.
        wanted (Sequence[str]): Prefixes of member names.

    Returns:
        int: Files written.

    Raises:
        InputError: A truncated archive or a hostile member.
    """
    written = 0
    print(f'{path.name}: extracting', flush=True)
    try:
        with tarfile.open(path) as archive:
            count = sum(1 for _ in _members(archive, wanted))
            if path.suffix == '.tar':
                # tarfile takes a file cut between two members for whole
                archive.fileobj.seek(archive.offset)
                if len(archive.fileobj.read(512)) < 512:
                    raise InputError('truncated: no end mark')
        if not count:
            raise InputError(f'nothing under {wanted[0]}')
        with tarfile.open(path) as archive:
            members = Progress(path.name).over(
                _members(archive, wanted), count)
            for member in members:
                target = root / member.name
                if (not target.exists()
                        or target.stat().st_size != member.size):
                    source = archive.extractfile(member)
                    atomic_write(target, source.read())
                    written += 1
    except InputError as error:
        raise InputError(f'{path}: {error}') from None
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise InputError(f'{path}: truncated or no tar archive: '
                         f'{error}') from error
    return written


def provide(root: Path, name: str, proof: Sequence[str], wanted: Sequence[str],
            fetch: bool, check: bool) -> None:
    """Make sure that an archive's files lie under ``root``.

    Args:
        root (Path): Holds the archive, its content or neither.
        name (str): Of the archive.
        proof (Sequence[str]): Paths that show that it was extracted.
        wanted (Sequence[str]): Prefixes of member names.
        fetch (bool): Download it if need be.
        check (bool): Compare the checksum of an archive that is there.
    """
    marker = root / f'.{name}.extracted'
    archive = root / name
    there = all((root / path).exists() for path in proof)
    # an extraction that was cut off has some of the files and no marker
    if there and (marker.exists() or not archive.exists()):
        return
    url, sha256 = ARCHIVES[name]
    if not archive.exists():
        if not fetch:
            raise InputError(f'{archive}: not there: put it there (from '
                             f'{url}) or add --download')
        download(url, archive, sha256)
    elif check:
        verify(archive, sha256)
    extract(archive, root, wanted)
    atomic_write(marker, b'')


def read_ids(path: Path) -> List[str]:
    """Ids of a list file, checked like any image list."""
    return [record.img_id for record in read_image_list(path).records]


def index_png(label: np.ndarray) -> bytes:
    """A label image as PNG with VOC's palette."""
    image = Image.fromarray(label)
    image.putpalette(voc_palette().tobytes())
    buffer = io.BytesIO()
    image.save(buffer, 'PNG')
    return buffer.getvalue()


def convert_one(task: Tuple[str, str]) -> List[int]:
    """Bring one mask to its place, if it is not there yet.

    Args:
        task (tuple[str, str]): SBD's ``.mat`` or VOC's ``.png``, and the
            PNG to write.

    Returns:
        list[int]: 0-based class ids in it.

    Raises:
        InputError: The source is missing, damaged or of another kind.
    """
    source, target = map(Path, task)
    fresh = not target.exists()
    path = source if fresh else target
    try:
        if path.suffix == '.mat':
            label = read_mat(path)
        else:
            with Image.open(path) as image:
                label = np.asarray(image)
                if image.mode not in ('P', 'L'):
                    raise InputError(f'mode {image.mode} is no index image')
    except FileNotFoundError:
        raise InputError(f'{path}: no such mask') from None
    except Exception as error:
        # scipy and PIL raise anything on a corrupt file
        text = ' '.join(str(error).split())
        raise InputError(f'{path}: not a usable mask: {text}') from error
    values = np.unique(label)
    last = len(VOC_CLASSES)
    if ((values > last) & (values != 255)).any():
        raise InputError(f'{path}: class value {values[values > last][0]} is '
                         f'outside 0..{last} and 255')
    if fresh:
        atomic_write(target, index_png(label))
    return [int(v) - 1 for v in values if 0 < v <= last]


def read_mat(path: Path) -> np.ndarray:
    """``GTcls.Segmentation`` of an SBD file, uint8 ``(H, W)``."""
    from scipy.io import loadmat
    content = loadmat(str(path), squeeze_me=True, struct_as_record=False)
    label = np.asarray(content['GTcls'].Segmentation)
    if label.ndim != 2 or label.dtype.kind not in 'uif':
        raise InputError('GTcls.Segmentation is no label image')
    if (label != np.clip(np.round(label), 0, 255)).any():
        raise InputError('GTcls.Segmentation holds other than class values')
    return label.astype(np.uint8)


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


def convert(root: Path,
            nproc: int = 1,
            expect_count: int = TRAINAUG,
            tags_file: Optional[str] = None) -> Dict[str, List[str]]:
    """Write masks and lists from the extracted folders.

    Args:
        root (Path): Holds ``VOCdevkit`` and ``benchmark_RELEASE``.
        nproc (int): Processes. Defaults to 1.
        expect_count (int): Images in trainaug. Defaults to 10582.
        tags_file (str, optional): Released label list.

    Returns:
        dict[str, list[str]]: Ids by split.

    Raises:
        InputError: Another count, missing images or bad masks.
    """
    voc = root / VOC_DIR
    ids = id_sets(root)
    found = len(ids['trainaug'])
    if found != expect_count:
        raise InputError(f'{root}: trainaug has {found} ids, expected '
                         f'{expect_count}: VOC or SBD is incomplete')
    tags = tags_from(tags_file, ids['trainaug']) if tags_file else {}
    photos = set(os.listdir(voc / 'JPEGImages'))
    lost = [i for i in ids['trainaug'] if f'{i}.jpg' not in photos]
    if lost:
        raise InputError(f'{voc}/JPEGImages/{lost[0]}.jpg: no such '
                         f'image ({len(lost)} are missing)')
    out = voc / 'SegmentationClassAug'
    jobs = [(str(voc / f'SegmentationClass/{i}.png'), str(out / f'{i}.png'))
            for i in ids['train'] + ids['val']]
    jobs += [(str(root / SBD_DIR / f'cls/{i}.mat'), str(out / f'{i}.png'))
             for i in ids['aug']]
    print(f'{len(jobs)} masks', flush=True)
    with ExitStack() as stack:
        results = map(convert_one, jobs)
        if nproc > 1:
            pool = stack.enter_context(ProcessPoolExecutor(nproc))
            # no mask is begun that nobody waits for
            stack.callback(pool.shutdown, cancel_futures=True)
            results = pool.map(convert_one, jobs, chunksize=16)
        found_tags = list(Progress('masks').over(results, len(jobs)))
    names = ids['train'] + ids['val'] + ids['aug']
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
    parser.add_argument('--tags', help='released list with class ids')
    parser.add_argument('--nproc', type=int, default=1, help='processes')
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
    provide(root, VOC_TAR,
            (f'{voc_lists}/train.txt', f'{voc_lists}/val.txt',
             f'{VOC_DIR}/JPEGImages', f'{VOC_DIR}/SegmentationClass'),
            VOC_WANTED, args.download, not args.no_checksum)
    provide(root, SBD_TAR, SBD_WANTED, SBD_WANTED, args.download,
            not args.no_checksum)
    ids = convert(root, args.nproc, args.expect_count, args.tags)
    print(f'{root / VOC_DIR}: {len(ids["trainaug"])} images in '
          f'trainaug, {len(ids["val"])} in val')


if __name__ == '__main__':
    run(main)
