# Copyright (c) group_wsss contributors. All rights reserved.
"""Feed mutated files to everything that reads what others wrote.

Every reader gets a good file of its format with some bytes changed, removed,
doubled or inserted. It may read it or raise an ``InputError`` of one line;
anything else is a failure: another exception, five seconds of the processor
(or a minute on the clock), a gigabyte more than at the start, a crash. Where
a checksum would refuse nearly every change (PNG, npz), half of the files are
mutated inside and packed again.
"""
import argparse
import io
import json
import multiprocessing
import os
import os.path as osp
import platform
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple

ROOT = osp.abspath(osp.join(osp.dirname(__file__), '..', '..'))
sys.path.insert(0, osp.join(ROOT, 'projects'))

import numpy as np
import torch
from PIL import Image

from group_wsss.contrib.big_lists import HEADER, MappedLabelIndex
from group_wsss.contrib.converters import (read_cls_labels,
                                           read_coco_instances, read_cvat,
                                           read_label_studio, read_table,
                                           read_voc_folder)
from group_wsss.datasets.transforms import LoadImage
from group_wsss.datasets.voc import VOC_CLASSES, read_voc_xml
from group_wsss.evaluation import read_id_list
from group_wsss.structures import ScoreMap, read_image_list, read_index_png
from group_wsss.structures.coco_json import index_instances, read_instances
from group_wsss.structures.manifest import Manifest
from group_wsss.utils import cli
from group_wsss.utils.checkpoint import load_from_file
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write, read_json

SECONDS, CLOCK, BYTES = 5.0, 60.0, 1 << 30
TIMERS = ((signal.SIGPROF, signal.ITIMER_PROF, SECONDS),
          (signal.SIGALRM, signal.ITIMER_REAL, CLOCK))
# pieces that the formats give a meaning to
PIECES = [
    b'"', b',', b';', b'\n', b'\0', b'\xff', b'{', b'}', b'[', b']', b'null',
    b'true', b'-1', b'1e999', b'NaN', b'..', b'/', b'\\', b'\\ud800', b'<',
    b'/>', b'&amp;', b'&x;', b'<![CDATA[', b'<!--', b'<!DOCTYPE x>', b'<?x?>',
    b'\x80\x04', b'R', b'b', b'c', b'\x93', b'\x94', b'.', b'u', b'(', b'\x85',
    b'\x88', b'\xff\xff\xff\x7f', b'0' * 50, b'[' * 3000, b'id', b'PK\1\2',
    b'IDAT', b'\x7f\xff\xff\xff'
]


class Format(NamedTuple):
    """A file name, a good file and what reads it."""
    name: str
    good: bytes
    read: Callable[[str], Any]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change, remove, double or insert some bytes."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(len(made) + 1)
        end = min(len(made), place + rng.choice((1, 1, 3, 20)))
        kind = rng.randrange(6)
        if kind == 0 and place < len(made):
            made[place] = rng.randrange(256)
        elif kind == 1:
            del made[place:end]
        elif kind == 2:
            made[place:place] = made[place:end]
        elif kind == 3:
            made[place:place] = rng.choice(PIECES)
        elif kind == 4:
            made[place:end] = rng.choice(PIECES)
        elif rng.random() < 0.3:
            del made[place:]
    return bytes(made)


def mutate_inside(data: bytes, rng: random.Random) -> bytes:
    """Mutate what a checksum protects, and mend the checksum."""
    if data[:4] == b'\x89PNG':
        chunks, place = [], 8
        while place < len(data):
            end = place + 8 + int.from_bytes(data[place:place + 4], 'big')
            chunks.append((data[place + 4:place + 8], data[place + 8:end]))
            place = end + 4
        chosen = rng.randrange(len(chunks))
        kind, body = chunks[chosen]
        packed = kind == b'IDAT' and rng.random() < 0.5
        body = mutate(zlib.decompress(body) if packed else body, rng)
        chunks[chosen] = kind, zlib.compress(body) if packed else body
        return data[:8] + b''.join(
            len(body).to_bytes(4, 'big') + kind + body +
            zlib.crc32(kind + body).to_bytes(4, 'big')
            for kind, body in chunks)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen_name = rng.choice(sorted(members))
    members[chosen_name] = mutate(members[chosen_name], rng)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def image_bytes(kind: str, mode: str, **options: Any) -> bytes:
    """A small picture."""
    rough = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    image = Image.fromarray(rough).resize((40, 30)).convert(mode)
    if mode == 'P':
        image = Image.fromarray(np.asarray(image) % 5)
        image.putpalette(list(range(256)) * 3)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def checkpoint_bytes(folder: str, zipped: bool) -> bytes:
    """A small checkpoint, in torch's new or old form."""
    content = dict(
        state_dict={'a.weight': torch.zeros(2, 3)},
        meta=dict(seed=np.int64(1), array=np.arange(4.), text='a'))
    path = Path(folder, 'a.pth')
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path.read_bytes()


def formats(folder: str) -> Dict[str, Format]:
    """All formats; files that a reader finds beside it go to ``folder``."""

    def dump(content: Any) -> bytes:
        return json.dumps(content, indent=1).encode()

    index_folder = osp.join(folder, 'index')
    MappedLabelIndex.from_arrays([2, 1, 1, 2], [0, 1, 1, 2, 0, 1],
                                 3).save(index_folder)
    array = min(Path(index_folder).glob('*.npy'))
    scores = Path(folder, 'scores.npz')
    ScoreMap('a', (30, 40), [1, 4], np.full((2, 3, 4), 0.5,
                                            'f4')).save(str(scores))
    labels = io.BytesIO()
    np.save(labels, dict(zip('ab', np.eye(2, dtype='f4'))))
    image = dict(height=30, width=40)
    annotation = dict(id=5, image_id=1, category_id=3, iscrowd=0, area=64.0)
    coco = dump(
        dict(
            images=[dict(id=i, file_name=f'{i}.jpg', **image) for i in (1, 2)],
            annotations=[
                dict(annotation, segmentation=[[1, 1, 9, 1, 9, 9, 1, 9]])
            ],
            categories=[dict(id=3, name='cat'),
                        dict(id=4, name='dog')]))
    choice = dict(result=[dict(value=dict(choices=['cat']))])
    studio = dump([
        dict(
            data=dict(image='/data/upload/0a1b2c3d-a.jpg'),
            annotations=[choice]),
        dict(image='b.jpg', choice='dog')
    ])
    cvat = (b'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>'
            b'1.1</version><image id="0" name="a/b.jpg" width="9"><tag '
            b'label="cat" source="manual"></tag></image></annotations>')
    voc = (b'<annotation><filename>a.jpg</filename><object><name>cat</name>'
           b'<difficult>0</difficult></object></annotation>')
    table = {name: i for i, name in enumerate(VOC_CLASSES)}

    def read_xml(path: str) -> Any:
        return read_voc_xml(Path(path).read_bytes(), table, False)

    def index_of(path: str) -> MappedLabelIndex:
        return MappedLabelIndex.load(index_folder)

    def photo(path: str) -> Any:
        return LoadImage(max_pixels=1 << 24).load(path)

    listed = dict(
        classes=['cat', 'dog'],
        images=[dict(id='a', path='a.jpg', labels=[0, 1])])
    table_csv = b'id,path,tags\na,x/a.jpg,cat;dog\nb.png,,"cat"\n'
    return dict(
        list_txt=Format('a.txt', b'a 0 3\nb/c 1\n\nd\n', read_image_list),
        list_csv=Format('a.csv', b'id,path,labels\na,a.jpg,0 3\nb,,1;2\n',
                        read_image_list),
        list_json=Format('a.json', dump(listed), read_image_list),
        ids=Format('ids.txt', b'a\nb c\nd/e\n', read_id_list),
        manifest=Format('manifest.json',
                        dump(dict(images=2, classes=['background', 'cat'])),
                        Manifest.read),
        coco=Format(
            'a.json', coco, lambda path: index_instances(
                read_instances(path, True), path, True)),
        coco_converter=Format('a.json', coco, read_coco_instances),
        label_studio=Format('a.json', studio, read_label_studio),
        table_csv=Format('a.csv', table_csv, read_table),
        table_tsv=Format('a.tsv', table_csv.replace(b',', b'\t'), read_table),
        cvat=Format('a.xml', cvat, read_cvat),
        voc=Format('xml/a.xml', voc,
                   lambda path: read_voc_folder(osp.dirname(path))),
        voc_dataset=Format('a.xml', voc, read_xml),
        cls_labels=Format('a.npy', labels.getvalue(),
                          lambda path: read_cls_labels(path, ['x', 'y'])),
        score_npz=Format('a.npz', scores.read_bytes(), ScoreMap.load),
        index_npy=Format(f'index/{array.name}', array.read_bytes(), index_of),
        index_json=Format(f'index/{HEADER}',
                          Path(index_folder, HEADER).read_bytes(), index_of),
        photo_jpeg=Format('a.jpg', image_bytes('JPEG', 'RGB'), photo),
        photo_exif=Format('a.jpg',
                          image_bytes('JPEG', 'CMYK', exif=exif_bytes()),
                          photo),
        photo_png=Format('a.png', image_bytes('PNG', 'RGBA'), photo),
        photo_webp=Format('a.webp', image_bytes('WEBP', 'RGB'), photo),
        photo_tiff=Format('a.tif', image_bytes('TIFF', 'RGB'), photo),
        photo_bmp=Format('a.bmp', image_bytes('BMP', 'RGB'), photo),
        label_png=Format('a.png', image_bytes('PNG', 'P'), read_index_png),
        checkpoint=Format('a.pth', checkpoint_bytes(folder, True),
                          load_from_file),
        checkpoint_old=Format('a.pth', checkpoint_bytes(folder, False),
                              load_from_file))


def exif_bytes() -> bytes:
    """EXIF data that turn an image."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


class Hang(BaseException):
    """The time is over."""


def _ring(*_: Any) -> None:
    raise Hang


def outcome(read: Callable[[str], Any], path: str) -> str:
    """``'read'``, ``'refused'``, or what went wrong."""
    for kind, timer, seconds in TIMERS:
        signal.signal(kind, _ring)
        signal.setitimer(timer, seconds)
    try:
        read(path)
        return 'read'
    except InputError as error:
        text = str(error)
        return 'refused' if text and '\n' not in text else 'two lines'
    except Hang:
        return 'hang'
    except Exception as error:
        return f'{type(error).__name__}: {str(error)[:200]}'
    finally:
        for _, timer, _ in TIMERS:
            signal.setitimer(timer, 0)


def fuzz(name: str, cases: int, seed: int, keep: str) -> Dict[str, Any]:
    """Mutate the files of one format: counts, slowest case, memory.

    ``keep`` gets the files that went wrong, and the one in work, which a
    crash leaves there.
    """
    warnings.simplefilter('ignore')  # Pillow has one for many a file
    rng = random.Random(f'{name} {seed}')
    counts: Dict[str, int] = dict(read=0, refused=0)
    failures: Dict[str, str] = {}
    slowest = 0.0
    with tempfile.TemporaryDirectory(dir=keep) as folder:
        form = formats(folder)[name]
        path = osp.join(folder, form.name)
        os.makedirs(osp.dirname(path), exist_ok=True)
        inside = form.good[:4] in (b'\x89PNG', b'PK\3\4')
        Path(path).write_bytes(form.good)
        good = outcome(form.read, path)
        if good != 'read':
            raise InputError(f'{name}: the good file was not read: {good}')
        used = int(Path('/proc/self/statm').read_text().split()[0])
        used *= resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, -1))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for case in range(cases):
            change = mutate_inside if inside and case % 2 else mutate
            data = change(form.good, rng)
            Path(path).write_bytes(data)
            start = time.process_time()
            found = outcome(form.read, path)
            slowest = max(slowest, time.process_time() - start)
            if found in counts:
                counts[found] += 1
            elif found not in failures:
                kept = osp.join(keep, f'{name}-{case}{osp.splitext(path)[1]}')
                atomic_write(kept, data)
                failures[found] = kept
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return dict(
        cases=cases,
        **counts,
        failed=cases - sum(counts.values()),
        failures=failures,
        slowest_seconds=round(slowest, 4),
        memory_growth_mib=round((after - before) / 1024, 1))


def _send(end: Any, *args: Any) -> None:
    """What the process of a format does."""
    end.send(fuzz(*args))


def run_format(name: str, cases: int, seed: int, keep: str) -> Dict[str, Any]:
    """:func:`fuzz` in a process of its own; one that dies is a failure."""
    # all is imported, which takes longer than thousands of files
    context = multiprocessing.get_context('fork')
    here, there = context.Pipe(duplex=False)
    process = context.Process(
        target=_send, args=(there, name, cases, seed, keep), daemon=True)
    process.start()
    there.close()
    try:
        if here.poll(CLOCK * (cases + 1)):
            return here.recv()
        what = 'hang'
    except EOFError:
        process.join()
        what = f'the process ended with {process.exitcode}'
    process.kill()
    return dict(cases=cases, failed=1, failures={what: keep})


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--cases',
        type=int,
        default=100_000,
        help='mutated files of all formats together')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--formats',
        nargs='*',
        help='formats to try again; rows of the others stay (default: all)')
    parser.add_argument(
        '--keep',
        default='work_dirs/fuzz_readers',
        help='folder for files on which a reader failed')
    parser.add_argument('--out', default='docs/benchmarks/fuzz_readers.json')
    return parser.parse_args()


def main() -> None:
    """Fuzz every format, keep the figures, print them."""
    args = parse_args()
    os.makedirs(args.keep, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        known = list(formats(folder))
    names = args.formats or known
    for name in names:
        if name not in known:
            raise InputError(f'--formats {name}: not one of {known}')
    rows = {}
    if args.formats and osp.isfile(args.out):
        rows = read_json(args.out)['formats']
    for number, name in enumerate(known):
        if name not in names:
            continue
        # shares that add up
        share = args.cases * (number + 1) // len(known)
        share -= args.cases * number // len(known)
        row = rows[name] = run_format(name, share, args.seed, args.keep)
        print(
            f'{name}: {row["cases"]} files, {row.get("read", 0)} read, '
            f'{row.get("refused", 0)} refused, {row["failed"]} failed',
            flush=True)
        for what, where in row['failures'].items():
            print(f'  {where}: {what}', flush=True)
    failed = sum(row['failed'] for row in rows.values())
    result = dict(
        cases=sum(row['cases'] for row in rows.values()),
        failed=failed,
        slowest_seconds=max(
            row.get('slowest_seconds', SECONDS) for row in rows.values()),
        memory_growth_mib=max(
            row.get('memory_growth_mib', 0) for row in rows.values()),
        seed=args.seed,
        python=platform.python_version(),
        numpy=np.__version__,
        pillow=Image.__version__,
        torch=torch.__version__,
        formats={name: rows[name]
                 for name in known if name in rows})
    atomic_write(args.out, (json.dumps(result, indent=1) + '\n').encode())
    print(f'{result["cases"]} files, {failed} failures, slowest '
          f'{result["slowest_seconds"]} s: {args.out}')
    if failed:
        sys.exit(1)


if __name__ == '__main__':
    cli.run(main)
