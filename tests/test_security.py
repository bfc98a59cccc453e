# Copyright (c) group_wsss contributors. All rights reserved.
"""Hostile files are tried and refused; dangerous calls are not in the code."""
import ast
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import tarfile
import threading
import zipfile
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import get_external_models
from PIL import Image

from group_wsss.contrib.big_lists import MappedLabelIndex
from group_wsss.contrib.converters import (archives, read_cls_labels,
                                           read_coco_instances, read_cvat,
                                           read_folders, read_label_studio,
                                           read_table, read_voc_folder)
from group_wsss.datasets.coco_json import index_instances, read_instances
from group_wsss.datasets.transforms import LoadImage
from group_wsss.datasets.voc import read_voc_xml
from group_wsss.engine.accumulator import ScoreAccumulator, remove_score_maps
from group_wsss.evaluation import find_ids, open_dump, read_id_list
from group_wsss.structures import (DumpWriter, ScoreMap, read_image_list,
                                   read_index_png)
from group_wsss.utils import checkpoint, download
from group_wsss.utils.checkpoint import load_from_file, use_safe_loading
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import check_image_id

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path for folder in ('projects', 'tools')
    for path in (ROOT / folder).rglob('*.py'))


@pytest.fixture
def outside(tmp_path):
    """A folder that nothing may change, and its content."""
    folder = tmp_path / 'outside'
    folder.mkdir()
    (folder / 'precious.npz').write_bytes(b'precious')
    (folder / 'a.png').write_bytes(b'precious')
    before = tree(folder)
    yield folder
    assert tree(folder) == before


def tree(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob('*') if path.is_file()
    }


def refused(words, function, *args):
    """One line, which holds ``words``."""
    with pytest.raises(InputError) as caught:
        function(*args)
    text = str(caught.value)
    assert words in text and '\n' not in text and len(text) < 800, text


class Call:
    """Pickles as a call; ``state`` is set on what it gives."""

    def __init__(self, function, *args, state=None):
        self.function, self.args, self.state = function, args, state

    def __reduce__(self):
        if self.state is None:
            return self.function, self.args
        return self.function, self.args, self.state


# ---- checkpoints ---------------------------------------------------------
def fake_pointers():
    """An array of objects that are whatever addresses the file says."""
    kind = Call(
        np.dtype,
        'O8',
        False,
        True,
        state=(3, '|', None, None, None, -1, -1, 0))
    return array_of(kind, struct.pack('<Q', 0x4141414141414141))


def array_of(kind, data, count=1):
    return Call(
        np.zeros(0).__reduce__()[0],
        np.ndarray, (0, ),
        b'b',
        state=(1, (count, ), kind, False, data))


def dtype(code, *state):
    return Call(np.dtype, code, False, True, state=state)


CHECKPOINTS = {
    'objects without flags':
    fake_pointers(),
    'numbers turned into objects':
    array_of(dtype('i8', 3, '|', None, None, None, -1, -1, 63), b'A' * 8),
    'texts of another size':
    array_of(dtype('S1', 3, '|', None, None, None, 1 << 20, 1, 0), b'A'),
    'texts of negative size':
    array_of(dtype('U1', 3, '<', None, None, None, -1, -1, 8), b'A' * 4),
    'records':
    array_of(
        dtype('V8', 3, '|', None, ('a', ), dict(a=(np.dtype('O'), 0)), 8, 1,
              0), b'A' * 8),
    'objects':
    np.array([print], dtype=object),
    'a buffer of its own':
    Call(np.ndarray, (4, ), 'i8', b'A' * 32, 1 << 40),
    'another class of arrays':
    Call(np.zeros(0).__reduce__()[0], np.matrix, (0, ), b'b'),
    'a number without a type':
    Call(np.float32(1).__reduce__()[0], 'O', b'A' * 8),
    'eval':
    Call(eval, 'open("executed", "w")'),
}


@pytest.mark.parametrize('protocol', [2, 4])
@pytest.mark.parametrize('name', CHECKPOINTS)
def test_checkpoints(name, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(
        dict(state_dict=dict(a=torch.zeros(1)), meta=CHECKPOINTS[name]),
        'evil.pth',
        pickle_protocol=protocol)
    refused('evil.pth: ', load_from_file, 'evil.pth')
    assert os.listdir() == ['evil.pth']


def test_plain_arrays_still_load(tmp_path):
    arrays = [
        np.arange(3.),
        np.arange(3, dtype='>i4'),
        np.array(['ab', 'c']),
        np.array([b'x', b'yz']),
        np.asfortranarray(np.eye(2)),
        np.float32(2),
        np.bool_(True),
        np.str_('u')
    ]
    torch.save(dict(arrays=arrays), tmp_path / 'a.pth')
    loaded = load_from_file(str(tmp_path / 'a.pth'))['arrays']
    for one, other in zip(arrays, loaded):
        assert type(one) is type(other) and np.array_equal(one, other)


def test_a_checkpoint_that_unpacks_to_much_more(tmp_path):
    path = tmp_path / 'bomb.pth'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/data.pkl', pickle.dumps({}))
        archive.writestr('archive/data/0', bytes(1 << 24))
    refused('bomb.pth: not loaded', load_from_file, str(path))


# ---- arrays ---------------------------------------------------------------
def npz(path, **arrays):
    good = dict(
        img_id=np.array('a'),
        ori_shape=np.array([4, 5]),
        class_ids=np.array([1]),
        maps=np.zeros((1, 2, 2), np.float16))
    good.update(arrays)
    np.savez(path, **good)
    return str(path)


def test_npz(tmp_path, monkeypatch):
    target = tmp_path / 'executed'
    evil = np.array([Call(os.mkdir, str(target))], dtype=object)
    for key in ('img_id', 'ori_shape', 'class_ids', 'maps'):
        path = npz(tmp_path / 'a.npz', **{key: evil})
        refused('a.npz: not a score map', ScoreMap.load, path)
    np.save(tmp_path / 'b.npy', evil)
    os.rename(tmp_path / 'b.npy', tmp_path / 'b.npz')
    refused('b.npz: not a score map', ScoreMap.load, str(tmp_path / 'b.npz'))
    (tmp_path / 'c.npz').write_bytes(pickle.dumps(evil))
    refused('c.npz: not a score map', ScoreMap.load, str(tmp_path / 'c.npz'))
    # small on the disk, large in memory
    np.savez_compressed(tmp_path / 'd.npz', maps=np.zeros(1 << 20))
    monkeypatch.setattr('group_wsss.structures.arrays.MAX_BYTES', 1000)
    refused('bytes once unpacked', ScoreMap.load, str(tmp_path / 'd.npz'))
    # members have names, but nothing is written by them
    with zipfile.ZipFile(tmp_path / 'e.npz', 'w') as archive:
        archive.writestr('../../evil.npy', b'x')
    refused('e.npz: not a score map', ScoreMap.load, str(tmp_path / 'e.npz'))
    assert not target.exists() and not list(tmp_path.parent.glob('evil*'))


def test_npy(tmp_path):
    target = tmp_path / 'executed'
    np.save(tmp_path / 'a.npy', dict(a=Call(os.mkdir, str(target))))
    refused('a.npy: refused: it asks', read_cls_labels,
            str(tmp_path / 'a.npy'), ['x'])
    folder = tmp_path / 'index'
    MappedLabelIndex.from_arrays([1, 1], [0, 0], 1).save(str(folder))
    for path in folder.glob('*.npy'):
        good = path.read_bytes()
        np.save(path, np.array([Call(os.mkdir, str(target))], dtype=object))
        refused(f'{path.name}: cannot be read', MappedLabelIndex.load,
                str(folder))
        path.write_bytes(good)
    assert not target.exists()


# ---- archives -------------------------------------------------------------
def test_members_of_a_tar(tmp_path, outside, monkeypatch):
    """Names that climb, links and files behind them, a bomb."""
    inside = 'VOCdevkit/VOC2012/JPEGImages'
    link = tarfile.TarInfo(f'{inside}/link')
    link.type, link.linkname = tarfile.SYMTYPE, str(outside)
    cases = {
        'unsafe member': [
            '../a.png',
            str(outside / 'a.png'), f'{inside}/../../../../outside/a.png'
        ],
        'is a link': [link, f'{inside}/link/a.png'],
        '100 bytes': [f'{inside}/bomb'],
    }
    monkeypatch.setattr(archives, '_MAX_MEMBER', 99)
    for words, members in cases.items():
        path = tmp_path / 'voc.tar'
        with tarfile.open(path, 'w') as archive:
            for member in members:
                if isinstance(member, str):
                    member = tarfile.TarInfo(member)
                    member.size = 100
                archive.addfile(member, io.BytesIO(bytes(member.size)))
        refused(words, archives.extract, path, tmp_path / 'out', (inside, ))
        assert not (tmp_path / 'out').exists()


# ---- links, pipes, names --------------------------------------------------
@pytest.mark.parametrize('name', ['.unfinished', 'scores', 'sub'])
def test_links_in_a_folder_of_labels(name, tmp_path, outside):
    out = tmp_path / 'out'
    writer = DumpWriter(str(out), ['x'])
    writer.write('a', np.zeros((2, 2), np.uint8))
    writer.finish()
    before = (out / 'a.png').read_bytes()
    (out / name).symlink_to(outside)

    def dump():
        writer = DumpWriter(str(out), ['x'])
        writer.begin()
        writer.write('a', np.ones((2, 2), np.uint8))
        writer.write('sub/a', np.ones((2, 2), np.uint8))
        writer.finish()

    refused('a link to', dump)
    assert (out / 'a.png').read_bytes() == before
    assert (out / 'manifest.json').exists()
    # what the link leads to is not part of the dump
    assert find_ids(str(out)) == ['a']
    # the folder itself may be a link
    (tmp_path / 'other').symlink_to(tmp_path / 'target')
    (tmp_path / 'target').mkdir()
    DumpWriter(str(tmp_path / 'other'), ['x']).write('sub/a',
                                                     np.ones((2, 2), np.uint8))


def test_nothing_is_removed_through_a_link(tmp_path, outside):
    out = tmp_path / 'out'
    writer = DumpWriter(str(out), ['x'])
    writer.write('sub/a', np.zeros((2, 2), np.uint8))
    writer.finish()
    shutil.rmtree(out / 'sub')
    (out / 'sub').symlink_to(outside)
    writer = DumpWriter(str(out), ['x'])
    writer.begin()
    writer.write('b', np.zeros((2, 2), np.uint8))
    refused('a link to', writer.finish)
    assert (outside / 'a.png').exists()


def test_a_label_that_is_a_link_is_replaced(tmp_path, outside):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'a.png').symlink_to(outside / 'a.png')
    writer = DumpWriter(str(out), ['x'])
    writer.write('a', np.zeros((2, 2), np.uint8))
    writer.finish()
    assert not (out / 'a.png').is_symlink()


def test_links_in_a_folder_of_attention(tmp_path, outside):
    (tmp_path / 'attention').mkdir()
    (tmp_path / 'attention' / 'rank0').symlink_to(outside)
    folder = str(tmp_path / 'attention' / 'rank0')
    refused('a link to', remove_score_maps, [folder])
    maps = ScoreAccumulator(folder)
    maps.merge(ScoreMap('a', (2, 2), [0], np.ones((1, 1, 1))))
    refused('a link to', maps.flush)


def test_reading_a_link(tmp_path, outside):
    """A link is followed, and what is there must be what it ought to be."""
    for path in ('a.png', 'a.npz', 'a.jpg'):
        (tmp_path / path).symlink_to('/etc/passwd')
    refused('a.png: cannot be read as an image', read_index_png,
            str(tmp_path / 'a.png'))
    refused('a.npz: not a score map', ScoreMap.load, str(tmp_path / 'a.npz'))
    refused('a.jpg: not an image', LoadImage().load, str(tmp_path / 'a.jpg'))
    (tmp_path / 'b.png').symlink_to(tmp_path / 'nowhere')
    refused('b.png: no file, or a link', find_ids, str(tmp_path))


def test_pipes_do_not_hang(tmp_path):
    for suffix, read in (('.png', read_index_png), ('.jpg', LoadImage().load),
                         ('.npz', ScoreMap.load)):
        path = str(tmp_path / f'pipe{suffix}')
        os.mkfifo(path)
        refused(f'pipe{suffix}: a pipe', read, path)
    refused('pipe.png: no file', find_ids, str(tmp_path))


NAMES = [
    '../a', 'x/../../a', '/a', 'C:/a', 'x\\..\\..\\a', 'x//a', './a', 'a\x01',
    '\ud800'
]


def write_as(tmp_path, name):
    """Files of every kind that name an image so."""

    def put(file, content):
        path = tmp_path / file
        path.write_bytes(content.encode('utf-8', 'surrogatepass'))
        return str(path)

    quoted = json.dumps(name)
    coco = json.dumps(
        dict(
            images=[dict(id=1, file_name=f'{name}.jpg', height=1, width=1)],
            annotations=[dict(id=1, image_id=1, category_id=1)],
            categories=[dict(id=1, name='x')]))
    path = put('c.json', coco)
    yield read_image_list, put('a.txt', f'{name} 1\n')
    yield read_image_list, put('a.csv', f'id,labels\n"{name}",1\n')
    yield read_image_list, put('a.json', f'{{"images": [{{"id": {quoted}}}]}}')
    yield read_image_list, put(
        'b.json', f'{{"images": [{{"id": "a", "path": {quoted}}}]}}')
    yield read_id_list, put('ids.txt', f'{name}\n')
    yield read_coco_instances, path
    yield lambda path: index_instances(read_instances(path), path), path
    yield read_table, put('t.csv', f'id,tags\n"{name}",x\n')
    yield read_cvat, put('a.xml',
                         f'<annotations><image name="{name}"/></annotations>')


@pytest.mark.parametrize('name', NAMES)
def test_names_that_climb(name, tmp_path):
    refused('image id', check_image_id, name)
    if not name.startswith('C:'):
        writer = DumpWriter(str(tmp_path / 'out'), ['x'])
        refused('image id', writer.write, name, np.zeros((2, 2), np.uint8))
    for read, path in write_as(tmp_path, name):
        refused(os.path.basename(path), read, path)
    if name.isprintable():
        # only the last part of an address is a name
        path = tmp_path / 'studio.json'
        path.write_text(json.dumps([dict(image=f'{name}.jpg', choice='x')]))
        try:
            records = read_label_studio(str(path)).records
            assert [record.img_id for record in records] == ['a']
        except InputError:
            pass


def test_names_in_a_dump(tmp_path):
    writer = DumpWriter(str(tmp_path), ['x'])
    writer.write('a', np.zeros((2, 2), np.uint8))
    writer.finish()
    (tmp_path / 'ids.txt').write_text('a\n../a\n')
    refused('ids.txt:2: image id', open_dump, str(tmp_path))


# ---- XML ------------------------------------------------------------------
BOMB = ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">' +
        ''.join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">'
                for i in range(20)) + ']><{0}>&u;</{0}>')
EXTERNAL = ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM '
            '"file:///etc/passwd">]><{0}>&a;</{0}>')
PARAMETER = ('<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1:1/a"> %a;]>'
             '<{0}/>')


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16', 'utf-8-sig'])
@pytest.mark.parametrize('text', [BOMB, EXTERNAL, PARAMETER])
def test_entities(text, encoding, tmp_path):
    folder = tmp_path / 'xml'
    folder.mkdir()
    for root, read in (('annotation', read_voc_folder), ('annotations',
                                                         read_cvat)):
        data = text.replace('{0}', root).encode(encoding)
        (folder / 'a.xml').write_bytes(data)
        where = folder if read is read_voc_folder else folder / 'a.xml'
        refused('a.xml', read, str(where))
        refused('', read_voc_xml, data, {}, False)


# ---- pictures -------------------------------------------------------------
def giant_png(path, side=30000):
    """A picture of which only the header is large."""

    def chunk(kind, body):
        return (struct.pack('>I', len(body)) + kind + body +
                struct.pack('>I', zlib.crc32(kind + body)))

    path.write_bytes(
        b'\x89PNG\r\n\x1a\n' +
        chunk(b'IHDR', struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0)) +
        chunk(b'IDAT', zlib.compress(bytes(1 << 20))) + chunk(b'IEND', b''))
    return str(path)


def test_pictures_of_30000_pixels_a_side(tmp_path):
    path = giant_png(tmp_path / 'a.png')
    words = {
        LoadImage().load: 'a.png: ',
        LoadImage(max_pixels=10**6).load: 'a.png: ',
        read_index_png: 'a.png: cannot be read as an image',
    }
    for read, message in words.items():
        refused(message, read, path)
    # below Pillow's own limit the option decides, before decoding
    path = giant_png(tmp_path / 'b.png', 5000)
    refused('5000x5000 pixels are more than max_pixels=1000000',
            LoadImage(max_pixels=10**6).load, path)


# ---- downloads ------------------------------------------------------------
class Handler(BaseHTTPRequestHandler):

    def do_GET(self):
        if self.path.startswith('/to/'):
            self.send_response(302)
            self.send_header('Location', self.path[4:])
            self.end_headers()
            return
        self.send_response(200)
        self.send_header('Content-Length', str(len(self.server.data)))
        self.end_headers()
        self.wfile.write(self.server.data)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """The machine itself, which needs no certificate."""
    monkeypatch.setattr(download, 'SCHEMES', ('http', ))
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.data = b'weights'
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f'http://127.0.0.1:{server.server_port}'
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize('url', [
    'http://host/a-0123abcd.pth', 'HTTP://host/a', 'ftp://host/a',
    'file:///etc/passwd', 'data:,x', '/etc/passwd'
])
def test_only_https(url, tmp_path):
    path = str(tmp_path / 'a')
    refused('only https is', download.fetch, url, path, '0' * 64)
    refused('only https is', archives.download, url, Path(path), '0' * 64)
    refused('only https is', checkpoint.load_from_url, url)
    handler = download._Guard()
    request = download.Request('https://host/a')
    refused('only https is', handler.redirect_request, request, None, 302, '',
            {}, url)
    assert handler.redirect_request(request, None, 302, '', {},
                                    'https://other/a') is not None
    assert not os.listdir(tmp_path)


def test_redirections(server, tmp_path):
    path = tmp_path / 'a'
    sha256 = hashlib.sha256(server.data).hexdigest()
    download.fetch(f'{server.url}/to/{server.url}/a', str(path), sha256)
    assert path.read_bytes() == server.data
    path.unlink()
    # urllib itself refuses the last one
    for target, words in (('ftp://host/a', 'only https is'), ('https://host/a',
                                                              'only https is'),
                          ('file:///etc/passwd', 'is not allowed')):
        refused(words, download.fetch, f'{server.url}/to/{target}', str(path),
                sha256)
    refused('invalid hash value', download.fetch, f'{server.url}/a', str(path),
            '0' * 64)
    refused('cannot be downloaded', download.fetch, 'http://127.0.0.1:1/a',
            str(path), sha256)
    assert not os.listdir(tmp_path)


def test_checkpoints_from_elsewhere(server, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    buffer = io.BytesIO()
    torch.save(dict(state_dict=dict(a=torch.ones(1))), buffer)
    server.data = buffer.getvalue()
    sha256 = hashlib.sha256(server.data).hexdigest()
    use_safe_loading()
    load = CheckpointLoader.load_checkpoint
    for url in (f'{server.url}/a-{sha256[:8]}.pth',
                f'{server.url}/b.pth#sha256={sha256}'):
        for _ in range(2):  # the second time from the disk
            assert load(url)['state_dict']['a'] == 1
    refused('its SHA-256 is not known', load, f'{server.url}/c.pth')
    refused('invalid hash value', load, f'{server.url}/d-01234567.pth')
    # a file that somebody put there before
    for path in (tmp_path / 'checkpoints').iterdir():
        path.write_bytes(b'other')
    refused('SHA-256 is', load, f'{server.url}/b.pth#sha256={sha256}')
    for url in ('pavi://a', 's3://b/a', 'modelzoo://a', 'mmcls://a'):
        refused('only https is', load, url)
    for url in ('open-mmlab://none', 'torchvision://none'):
        refused('no weights of this name', load, url)


def test_names_of_shipped_configs_carry_a_checksum():
    text = ''.join(path.read_text()
                   for path in (ROOT / 'configs').rglob('*.py'))
    names = re.findall(r"'open-mmlab://([^']+)'", text)
    files = re.findall(r"'([^']+\.pth)'\)", text)
    assert names and files
    for url in [get_external_models()[name] for name in names]:
        assert url.startswith('https://') and download.sha256_in(url)
    for name in files:
        assert download.sha256_in(f'https://host/{name}')


# ---- the code itself ------------------------------------------------------
FORBIDDEN = {
    'eval', 'exec', 'compile', '__import__', 'os.system', 'os.popen',
    'pickle.load', 'pickle.loads', 'marshal.loads', 'marshal.load',
    'shelve.open', 'yaml.load', 'yaml.unsafe_load', 'tempfile.mktemp',
    'torch.hub.load', 'torch.hub.load_state_dict_from_url', 'torch.jit.load',
    'torch.hub.download_url_to_file', 'download_url_to_file',
    'urllib.request.urlretrieve', 'urlopen', 'urllib.request.urlopen',
    'np.loads', 'joblib.load', 'subprocess.getoutput',
    'subprocess.getstatusoutput', 'mmengine.load'
}


def dangers(source):
    """Lines of a source with a call that could run what a file says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {key.arg: ast.unparse(key.value) for key in node.keywords}
        if (name in FORBIDDEN or given.get('shell', 'False') != 'False'
                or name.endswith(('.extractall', '.extract'))
                or name in ('np.load', 'numpy.load')
                and given.get('allow_pickle') != 'False'
                or name == 'torch.load' and given.get('weights_only') != 'True'
                and given.get('pickle_module') != '_PICKLE'):
            found.append((node.lineno, name))
    return found


def test_the_guard_sees():
    for source in ('eval("1")', 'np.load(x)', 'np.load(x, allow_pickle=True)',
                   'torch.load(x)', 'torch.load(x, weights_only=False)',
                   'subprocess.run(x, shell=True)', 'run(x, shell=flag)',
                   'pickle.loads(x)', 'yaml.load(x)', 'tar.extractall(x)',
                   'urlopen(x)'):
        assert len(dangers(source)) == 1, source
    for source in ('np.load(x, allow_pickle=False)', 'model.eval()',
                   'torch.load(x, weights_only=True)', 'run(x, shell=False)',
                   'ast.literal_eval(x)', 're.compile(x)'):
        assert not dangers(source), source


@pytest.mark.parametrize(
    'path', SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_dangerous_call(path):
    found = [name for _, name in dangers(path.read_text('utf-8'))]
    # behind the guard against other schemes and checksums
    guarded = path.parts[-2:] == ('utils', 'download.py')
    assert found == ['download_url_to_file'] * guarded


def test_a_report_escapes_names(tmp_path, call_tool, capsys):
    """Names with markup, quotes and marks that turn the writing round."""
    names = [
        '<script>alert(1)</script>', '"\'><img src=x onerror=alert(1)>',
        '${mark}', '&amp;'
    ]
    ids = ['"><svg onload=alert(1)>', '\u202eid', '${title}', "it's"]
    dump, page = tmp_path / '<b>dump', tmp_path / 'page'
    writer = DumpWriter(str(dump), names)
    for number, img_id in enumerate(ids):
        writer.write(img_id, np.full((4, 4), number + 1, np.uint8))
    writer.finish(config='</pre><script>alert(2)</script>')
    call_tool('report', dump, '--out', page)
    for path in page.rglob('*'):
        # no name of a file comes from the dump
        assert path.name.isascii() and not set(path.name) & set('<>"\'$&')
    text = (page / 'index.html').read_text('utf-8')
    for part in ('<script>alert', '<img src=x', '<svg onload', '<b>dump'):
        assert part not in text
    assert '&lt;script&gt;alert(1)&lt;/script&gt;' in text
    scripts = [p for p in page.rglob('*.js') if p.name != 'report.js']
    assert len(scripts) > len(ids)
    for path in scripts:
        data = path.read_bytes()
        assert b'<' not in data and data.isascii()
    # a class name that turns the writing round is none
    writer = DumpWriter(str(tmp_path / 'turned'), ['\u202egpj.exe'])
    writer.write('a', np.zeros((4, 4), np.uint8))
    writer.finish()
    with pytest.raises(SystemExit):
        call_tool('report', tmp_path / 'turned', '--out', tmp_path / 'no')
    assert 'holds a control character' in capsys.readouterr().err
    assert not (tmp_path / 'no').exists()


def test_class_folders_that_lead_outside(tmp_path, outside):
    """Images may be links; the list names them below the folder."""
    (tmp_path / 'root' / 'cat').mkdir(parents=True)
    Image.new('RGB', (4, 4)).save(tmp_path / 'photo.jpg')
    (tmp_path / 'root' / 'cat' / 'a.jpg').symlink_to(tmp_path / 'photo.jpg')
    content = read_folders(str(tmp_path / 'root'))
    assert [record.path for record in content.records] == ['cat/a.jpg']
    (tmp_path / 'root' / 'cat' / 'up').symlink_to(tmp_path / 'root')
    refused('a link to a folder around it', read_folders,
            str(tmp_path / 'root'))


@pytest.mark.slow
@pytest.mark.parametrize('line', [None, 'eval(input())'])
def test_bandit(tmp_path, line):
    pytest.importorskip('bandit')
    for folder in ('projects', 'tools'):
        shutil.copytree(
            ROOT / folder,
            tmp_path / folder,
            ignore=shutil.ignore_patterns('__pycache__', '.mim', '*.egg-info'))
    if line is not None:  # it can fail
        shutil.rmtree(tmp_path / 'projects')
        (tmp_path / 'projects').mkdir()
        (tmp_path / 'projects/a.py').write_text(line + '\n')
    done = subprocess.run(
        ['bash', str(tmp_path / 'tools/audit.sh'), '--code-only'],
        capture_output=True,
        text=True)
    assert done.returncode == (line is not None), done.stdout + done.stderr
    found = 'bandit found nothing in projects and tools' in done.stdout
    assert found == (line is None)
