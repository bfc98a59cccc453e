# Copyright (c) group_wsss contributors. All rights reserved.
import hashlib
import importlib.util
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from group_wsss.contrib.converters import archives
from group_wsss.datasets import VOCImageLevel
from group_wsss.structures import read_image_list
from group_wsss.utils import download
from group_wsss.utils.errors import InputError

REPO = Path(__file__).parents[2]
SCRIPT = REPO / 'tools/dataset_converters/voc12_aug.py'
SPEC = importlib.util.spec_from_file_location('voc12_aug', SCRIPT)
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)

# VOC: t0 t1 to train, v0 to val. SBD: t1 v0 again, s0 s1 s2 are new.
VOC_MASKS = dict(t0=[1, 15], t1=[20], v0=[3, 255])
SBD_MASKS = dict(t1=[20], v0=[3], s0=[5, 6], s1=[9], s2=[12, 0])
# what the masks show; the XML files name a car besides
EXPECTED = dict(t0=(0, 14), t1=(19, ), s0=(4, 5), s1=(8, ), s2=(11, ))


def mask(values):
    label = np.zeros((12, 10), np.uint8)
    for row, value in enumerate(values):
        label[2 + 3 * row:4 + 3 * row, 1:8] = value
    return label


def png(values):
    buffer = io.BytesIO()
    Image.fromarray(mask(values)).save(buffer, 'PNG')
    return buffer.getvalue()


def mat(label):
    buffer = io.BytesIO()
    savemat(buffer,
            dict(GTcls=dict(Segmentation=label, CategoriesPresent=[1])))
    return buffer.getvalue()


def xml(names):
    objects = ''.join(f'<object><name>{name}</name></object>'
                      for name in names)
    return f'<annotation>{objects}</annotation>'.encode()


def with_car(labels):
    return tuple(sorted({*labels, 6}))


def voc_files():
    base = 'VOCdevkit/VOC2012'
    lists = f'{base}/ImageSets/Segmentation'
    files = {
        f'{lists}/train.txt': b't0\nt1\n',
        f'{lists}/val.txt': b'v0\n',
        f'{base}/SegmentationObject/t0.png': b'not wanted',
    }
    for name in [*VOC_MASKS, 's0', 's1', 's2']:
        files[f'{base}/JPEGImages/{name}.jpg'] = name.encode()
        values = {**VOC_MASKS, **SBD_MASKS}[name]
        files[f'{base}/Annotations/{name}.xml'] = xml(
            [tool.VOC_CLASSES[v - 1] for v in values if 0 < v < 255] + ['car'])
    for name, values in VOC_MASKS.items():
        files[f'{base}/SegmentationClass/{name}.png'] = png(values)
    return files


def sbd_files():
    base = 'benchmark_RELEASE/dataset'
    files = {
        f'{base}/train.txt': b's0\ns1\nt1\n',
        f'{base}/val.txt': b'v0\ns2\n',
        f'{base}/img/s0.jpg': b'not wanted',
        f'{base}/cls/._s0.mat': b'resource fork',
    }
    for name, values in SBD_MASKS.items():
        files[f'{base}/cls/{name}.mat'] = mat(mask(values))
    return files


def pack(path, files, extra=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, 'w:gz' if path.suffix == '.tgz' else 'w') as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in extra:
            tar.addfile(info, io.BytesIO(b'x' * info.size))
    return path


@pytest.fixture
def root(tmp_path):
    pack(tmp_path / tool.VOC_TAR, voc_files())
    pack(tmp_path / tool.SBD_TAR, sbd_files())
    return tmp_path


@pytest.fixture
def args(root):
    return ('dataset_converters/voc12_aug', '--root', root, '--no-checksum',
            '--expect-count', 5)


def test_whole_road(root, args, call_tool, capsys, threads, monkeypatch):
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    call_tool(*args, '--nproc', 2)
    printed, progress = capsys.readouterr()
    assert 'extracting' in printed
    assert 'masks: 6/6' in progress and 'annotations: 6/6' in progress
    voc = root / tool.VOC_DIR
    lists = voc / 'ImageSets/Segmentation'
    found = read_image_list(lists / 'trainaug_cls.txt', num_classes=20)
    assert {
        r.img_id: r.labels
        for r in found.records
    } == {
        name: with_car(labels)
        for name, labels in EXPECTED.items()
    }
    assert (lists / 'trainaug.txt').read_text().split() == sorted(EXPECTED)
    assert (lists / 'aug.txt').read_text().split() == ['s0', 's1', 's2']
    assert (lists / 'val_cls.txt').read_text() == 'v0 2 6\n'
    assert (lists / 'train_cls.txt').read_text() == 't0 0 6 14\nt1 6 19\n'
    for name, values in {**SBD_MASKS, **VOC_MASKS}.items():
        with Image.open(voc / f'SegmentationClassAug/{name}.png') as image:
            assert image.mode == 'P'
            np.testing.assert_array_equal(np.asarray(image), mask(values))
    assert not (voc / 'SegmentationObject').exists()
    assert not (root / tool.SBD_DIR / 'img').exists()
    data = VOCImageLevel(
        'ImageSets/Segmentation/trainaug_cls.txt', data_root=str(voc))
    assert len(data) == 5

    # again: nothing is written anew, no archive is needed
    stamps = {p: p.stat().st_mtime_ns for p in voc.rglob('*.png')}
    (root / tool.VOC_TAR).unlink()
    (root / tool.SBD_TAR).unlink()
    (voc / 'SegmentationClassAug/s1.png').unlink()
    stamps.pop(voc / 'SegmentationClassAug/s1.png')
    call_tool(*args)
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    assert (voc / 'SegmentationClassAug/s1.png').exists()
    assert 'extracting' not in capsys.readouterr().out


def test_wrong_archives(root, refuse):
    line = refuse('dataset_converters/voc12_aug', '--root', root)
    assert line.startswith(f'error: {root / tool.VOC_TAR}: SHA-256 is ')
    assert not (root / 'VOCdevkit').exists()
    line = refuse('dataset_converters/voc12_aug', '--root', root,
                  '--no-checksum')
    assert 'has 5 ids, expected 10582: VOC or' in line
    assert not (root / tool.VOC_DIR / 'SegmentationClassAug').exists()


def prepared(root):
    archives.extract(root / tool.VOC_TAR, root, tool.VOC_WANTED)
    archives.extract(root / tool.SBD_TAR, root, tool.SBD_WANTED)


def test_released_tags(root, tmp_path):
    prepared(root)
    tags = tmp_path / 'released.txt'
    tags.write_text('t0 0 14\nt1 19\ns0 1\ns1 8\ns2 11 3 \n')
    tool.convert(root, expect_count=5, tags_file=str(tags))
    text = (root / tool.VOC_DIR /
            'ImageSets/Segmentation/trainaug_cls.txt').read_text()
    assert text == 's0 1\ns1 8\ns2 3 11\nt0 0 14\nt1 19\n'
    tags.write_text('t0 0 14\nt1 19\ns0 1\ns1 8\n')
    with pytest.raises(InputError, match="1 ids differ .*'s2'"):
        tool.convert(root, expect_count=5, tags_file=str(tags))


def test_tags_from_masks_are_an_option(root, args, call_tool):
    prepared(root)
    lists = root / tool.VOC_DIR / 'ImageSets/Segmentation'
    call_tool(*args, '--tags-from-masks')
    found = read_image_list(lists / 'trainaug_cls.txt', num_classes=20)
    assert {r.img_id: r.labels for r in found.records} == EXPECTED
    (root / tool.VOC_DIR / 'Annotations/s1.xml').unlink()
    with pytest.raises(InputError, match='s1.xml: .* --tags-from-masks do'):
        tool.convert(root, expect_count=5)
    tool.convert(root, expect_count=5, tags_from_masks=True)


def test_what_is_missing(root, tmp_path):
    prepared(root)
    with pytest.raises(InputError, match='add --download'):
        archives.provide(tmp_path / 'no.tar', *tool.ARCHIVES[tool.VOC_TAR],
                         ('x', ), tool.VOC_WANTED, False, True)
    (root / tool.VOC_DIR / 'JPEGImages/s1.jpg').unlink()
    with pytest.raises(InputError, match='s1.jpg: no such.*1 are missing'):
        tool.convert(root, expect_count=5)


@pytest.mark.parametrize('data, message', [
    (b'MATLAB nonsense', 'not a usable mask'),
    (mat(mask([30])), 'class value 30'),
    (mat(np.zeros((3, 3, 3), np.uint8)), 'no label image'),
    (mat(mask([1]) * 0.5), 'other than class values'),
])
def test_bad_mat(root, data, message):
    prepared(root)
    path = root / tool.SBD_DIR / 'cls/s1.mat'
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        tool.convert(root, expect_count=5)
    assert str(path) in str(caught.value)
    out = root / tool.VOC_DIR
    assert not (out / 'SegmentationClassAug/s1.png').exists()
    assert not (out / 'ImageSets/Segmentation/trainaug_cls.txt').exists()


# others are in tests/test_security.py
WANTED = f'{tool.VOC_DIR}/JPEGImages'
HOSTILE = {
    f'{WANTED}/..\\..\\evil.txt': tarfile.REGTYPE,
    f'{WANTED}/hard.jpg': tarfile.LNKTYPE,
    f'{WANTED}/device.jpg': tarfile.CHRTYPE,
    f'{WANTED}/pipe.jpg': tarfile.FIFOTYPE,
}


@pytest.mark.parametrize('name', HOSTILE)
def test_hostile_tar(tmp_path, name):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = HOSTILE[name], '../../evil'
    path = pack(tmp_path / 'in/voc.tar', voc_files(), [info])
    out = tmp_path / 'out'
    with pytest.raises(InputError, match='voc.tar: (unsafe )?member'):
        archives.extract(path, out, tool.VOC_WANTED)
    assert not out.exists() and not list(tmp_path.glob('*evil*'))


@pytest.mark.parametrize('name', [tool.VOC_TAR, tool.SBD_TAR])
def test_truncated_archive_and_resume(root, name):
    path, wanted = root / name, dict(
        zip(tool.ARCHIVES, (tool.VOC_WANTED, tool.SBD_WANTED)))[name]
    whole = path.read_bytes()
    # anywhere, also just between two members
    ends = list(range(512, len(whole.rstrip(b'\0')), 512 * 3))
    if name == tool.SBD_TAR:
        ends = [len(whole) * share // 8 for share in range(1, 8)]
    assert len(ends) > 3
    for end in ends:
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match='truncated'):
            archives.extract(path, root / 'out', wanted)
    assert not (root / 'out').exists()
    path.write_bytes(whole)
    assert archives.extract(path, root / 'out', wanted) > 3
    assert archives.extract(path, root / 'out', wanted) == 0
    next((root / 'out').rglob('*.txt')).unlink()
    assert archives.extract(path, root / 'out', wanted) == 1


DATA = np.random.default_rng(0).bytes(300000)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    ranges = True
    cut = None  # bytes after which answers break off

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.log = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        if self.path != '/file':
            self.send_error(404)
            return
        asked = self.headers.get('Range')
        start = int(asked[6:-1]) if asked and self.server.ranges else 0
        self.server.log.append(start)
        body = DATA[start:]
        self.send_response((206 if start else 200) if body else 416)
        if start and body:
            self.send_header('Content-Range',
                             f'bytes {start}-{len(DATA) - 1}/{len(DATA)}')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.close_connection = self.server.cut is not None
        self.wfile.write(body[:self.server.cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    # the machine itself needs no certificate
    monkeypatch.setattr(download, 'SCHEMES', ('http', 'https'))
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.url = f'http://127.0.0.1:{server.server_port}/file'
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize('part, settings, asked', [
    (None, {}, [0]),
    (DATA[:123456], {}, [123456]),
    (DATA, {}, [300000]),
    (b'x' * 1000, dict(ranges=False), [0]),
    (None, dict(cut=100000), [0, 100000, 200000]),
], ids=['new', 'resumed', 'complete', 'no ranges', 'broken'])  # yapf: disable
def test_download(server, tmp_path, part, settings, asked):
    vars(server).update(settings)
    path = tmp_path / 'new/file.tar'
    path.parent.mkdir()
    if part is not None:
        path.with_name('file.tar.part').write_bytes(part)
    for _ in range(2):  # the second time it is there
        archives.download(server.url, path, SHA256, attempts=1, wait=0)
        assert path.read_bytes() == DATA
        assert list(path.parent.iterdir()) == [path]
    assert server.log == asked


def test_checksum_mismatch(server, tmp_path):
    with pytest.raises(InputError, match='SHA-256 is .*, expected 00'):
        archives.download(server.url, tmp_path / 'a', '0' * 64, wait=0)
    assert not list(tmp_path.iterdir())
    (tmp_path / 'a').write_bytes(b'other')
    with pytest.raises(InputError, match='SHA-256'):
        archives.download(server.url, tmp_path / 'a', SHA256, wait=0)


def test_refused_addresses(server, tmp_path):
    for url in ('file:///etc/passwd', 'ftp://x/y', 'voc.tar', 'httpss://x/y'):
        with pytest.raises(InputError, match='only https is'):
            archives.download(url, tmp_path / 'a', SHA256)
    with pytest.raises(InputError, match='404'):
        archives.download(
            server.url + 'x', tmp_path / 'a', SHA256, attempts=3, wait=9)
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match='goes on from here'):
        archives.download(
            server.url, tmp_path / 'a', SHA256, attempts=2, wait=0)
    assert not list(tmp_path.iterdir())


def test_interrupted_extraction_is_finished(root, monkeypatch):
    calls = []
    write = archives.atomic_write

    def stop(path, data):
        calls.append(path)
        if len(calls) == 12:
            raise KeyboardInterrupt
        write(path, data)

    voc = (root / tool.VOC_TAR, *tool.ARCHIVES[tool.VOC_TAR],
           (f'{tool.VOC_DIR}/JPEGImages', ), tool.VOC_WANTED, False, False)
    monkeypatch.setattr(archives, 'atomic_write', stop)
    with pytest.raises(KeyboardInterrupt):
        archives.provide(*voc)
    monkeypatch.setattr(archives, 'atomic_write', write)
    archives.provide(*voc)
    assert len(list((root / tool.VOC_DIR / 'JPEGImages').iterdir())) == 6
