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
import tarfile
import threading
import zipfile
import zlib
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import get_external_models

from group_wsss.contrib.big_lists import MappedLabelIndex
from group_wsss.contrib.converters import (archives, read_coco_instances,
                                           read_cvat, read_label_studio,
                                           read_table, read_voc_folder)
from group_wsss.datasets.transforms import LoadImage
from group_wsss.datasets.voc import read_voc_xml
from group_wsss.engine.accumulator import ScoreAccumulator, remove_score_maps
from group_wsss.evaluation import find_ids, open_dump, read_id_list
from group_wsss.structures import (DumpWriter, ScoreMap, read_image_list,
                                   read_index_png)
from group_wsss.structures.coco_json import index_instances, read_instances
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


@contextmanager
def refusal(words):
    """One line, which holds ``words``."""
    with pytest.raises(InputError) as caught:
        yield
    text = str(caught.value)
    assert words in text and '\n' not in text and len(text) < 800, text


def refused(words, function, *args):
    with refusal(words):
        function(*args)


class Call:
    """Pickles as a call; ``state`` is set on what it gives."""

    def __init__(self, function, *args, state=None):
        self.function, self.args, self.state = function, args, state

    def __reduce__(self):
        if self.state is None:
            return self.function, self.args
        return self.function, self.args, self.state


# ---- checkpoints ---------------------------------------------------------
def dtype(code, *state):
    return Call(np.dtype, code, False, True, state=state)


def array_of(kind, data, made=np.ndarray):
    return Call(
        np.zeros(0).__reduce__()[0],
        made, (0, ),
        b'b',
        state=kind and (1, (1, ), kind, False, data))


NOTHING = None, None, None
CHECKPOINTS = {
    # an array of objects that are whatever addresses the file says
    'objects without flags':
    array_of(dtype('O8', 3, '|', *NOTHING, -1, -1, 0), b'A' * 8),
    'numbers turned into objects':
    array_of(dtype('i8', 3, '|', *NOTHING, -1, -1, 63), b'A' * 8),
    'texts of another size':
    array_of(dtype('S1', 3, '|', *NOTHING, 1 << 20, 1, 0), b'A'),
    'texts of negative size':
    array_of(dtype('U1', 3, '<', *NOTHING, -1, -1, 8), b'A' * 4),
    'records':
    array_of(
        dtype('V8', 3, '|', None, ('a', ), dict(a=(np.dtype('O'), 0)), 8, 1,
              0), b'A' * 8),
    'objects':
    np.array([print], dtype=object),
    'a buffer of its own':
    Call(np.ndarray, (4, ), 'i8', b'A' * 32, 1 << 40),
    'another class of arrays':
    array_of(None, b'', np.matrix),
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
def test_npz(tmp_path, monkeypatch):
    """Pickles are in the tests of score maps."""
    good = dict(
        img_id=np.array('a'),
        ori_shape=np.array([4, 5]),
        class_ids=np.array([1]),
        maps=np.zeros((1, 2, 2), np.float16))
    target, path = tmp_path / 'executed', tmp_path / 'a.npz'
    evil = np.array([Call(os.mkdir, str(target))], dtype=object)
    for key in good:
        np.savez(path, **{**good, key: evil})
        refused('a.npz: not a score map', ScoreMap.load, str(path))
    # members have names, but nothing is written by them
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('../../evil.npy', b'x')
    refused('a.npz: not a score map', ScoreMap.load, str(path))
    assert not target.exists() and not list(tmp_path.parent.glob('evil*'))
    # small on the disk, large in memory
    np.savez_compressed(path, maps=np.zeros(1 << 20))
    monkeypatch.setattr('group_wsss.structures.arrays.MAX_BYTES', 1000)
    refused('bytes once unpacked', ScoreMap.load, str(path))


def test_npy(tmp_path):
    target = tmp_path / 'executed'
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
def test_a_member_of_a_tar_that_is_too_large(tmp_path, monkeypatch):
    """Names that climb, and links, are in the tests of voc12_aug.py."""
    monkeypatch.setattr(archives, '_MAX_MEMBER', 99)
    inside, path = 'VOCdevkit/VOC2012/JPEGImages', tmp_path / 'voc.tar'
    with tarfile.open(path, 'w') as archive:
        member = tarfile.TarInfo(f'{inside}/bomb')
        member.size = 100
        archive.addfile(member, io.BytesIO(bytes(100)))
    refused('100 bytes', archives.extract, path, tmp_path / 'out', (inside, ))
    assert not (tmp_path / 'out').exists()


# ---- links, pipes, names --------------------------------------------------
def dump(folder, *img_ids, value=0, names=('x', )):
    """Write label images of one value over what is there."""
    writer = DumpWriter(str(folder), list(names))
    writer.begin()
    for img_id in img_ids:
        writer.write(img_id, np.full((2, 2), value, np.uint8))
    writer.finish()


@pytest.mark.parametrize('name', ['.unfinished', 'scores', 'sub'])
def test_links_in_a_folder_of_labels(name, tmp_path, outside):
    out = tmp_path / 'out'
    dump(out, 'a')
    before = (out / 'a.png').read_bytes()
    (out / name).symlink_to(outside)
    with refusal('a link to'):
        dump(out, 'a', 'sub/a', value=1)
    assert (out / 'a.png').read_bytes() == before
    assert (out / 'manifest.json').exists()
    # what the link leads to is not part of the dump
    assert find_ids(str(out)) == ['a']


def test_the_folder_of_labels_may_be_a_link(tmp_path):
    (tmp_path / 'target').mkdir()
    (tmp_path / 'link').symlink_to(tmp_path / 'target')
    dump(tmp_path / 'link', 'sub/a')
    assert (tmp_path / 'target/sub/a.png').is_file()


def test_nothing_is_removed_or_written_through_a_link(tmp_path, outside):
    out = tmp_path / 'out'
    dump(out, 'sub/a')
    shutil.rmtree(out / 'sub')
    (out / 'sub').symlink_to(outside)
    with refusal('a link to'):
        dump(out, 'b')
    # a label that is a link is replaced
    (tmp_path / 'new').mkdir()
    (tmp_path / 'new/a.png').symlink_to(outside / 'a.png')
    dump(tmp_path / 'new', 'a')
    assert not (tmp_path / 'new/a.png').is_symlink()


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


def lists_with(name):
    """Readers, and files of every kind that name an image so."""
    quoted = json.dumps(name)
    coco = json.dumps(
        dict(
            images=[dict(id=1, file_name=f'{name}.jpg', height=1, width=1)],
            annotations=[dict(id=1, image_id=1, category_id=1)],
            categories=[dict(id=1, name='x')]))
    return [
        (read_image_list, 'a.txt', f'{name} 1\n'),
        (read_image_list, 'a.csv', f'id,labels\n"{name}",1\n'),
        (read_image_list, 'a.json', f'{{"images": [{{"id": {quoted}}}]}}'),
        (read_image_list, 'b.json',
         f'{{"images": [{{"id": "a", "path": {quoted}}}]}}'),
        (read_id_list, 'ids.txt', f'{name}\n'),
        (read_coco_instances, 'c.json', coco),
        (lambda path: index_instances(read_instances(path), path), 'c.json',
         coco),
        (read_table, 't.csv', f'id,tags\n"{name}",x\n'),
        (read_cvat, 'a.xml',
         f'<annotations><image name="{name}"/></annotations>'),
    ]


@pytest.mark.parametrize('name', NAMES)
def test_names_that_climb(name, tmp_path):
    refused('image id', check_image_id, name)
    if not name.startswith('C:'):
        refused('image id', dump, tmp_path / 'out', name)
    for read, file, content in lists_with(name):
        path = tmp_path / file
        path.write_bytes(content.encode('utf-8', 'surrogatepass'))
        refused(file, read, str(path))
    if name.isprintable():
        # only the last part of an address is a name
        path = tmp_path / 'studio.json'
        path.write_text(json.dumps([dict(image=f'{name}.jpg', choice='x')]))
        with suppress(InputError):
            records = read_label_studio(str(path)).records
            assert [record.img_id for record in records] == ['a']


def test_names_in_a_dump(tmp_path):
    dump(tmp_path / 'turned', 'a', names=['\u202egpj.exe'])
    refused('holds a control character', open_dump, str(tmp_path / 'turned'))
    dump(tmp_path, 'a')
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
@pytest.mark.parametrize('root, read', [('annotation', read_voc_folder),
                                        ('annotations', read_cvat)])
def test_entities(root, read, text, encoding, tmp_path):
    data = text.replace('{0}', root).encode(encoding)
    path = tmp_path / 'a.xml'
    path.write_bytes(data)
    where = path if read is read_cvat else tmp_path
    refused('a.xml', read, str(where))
    refused('', read_voc_xml, data, {}, False)


# ---- pictures -------------------------------------------------------------
def giant_png(path, side):
    """A picture of which only the header is large."""
    header = struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0)
    data = b'\x89PNG\r\n\x1a\n'
    for kind, body in ((b'IHDR', header), (b'IDAT',
                                           zlib.compress(bytes(1 << 20))),
                       (b'IEND', b'')):
        data += (
            struct.pack('>I', len(body)) + kind + body +
            struct.pack('>I', zlib.crc32(kind + body)))
    path.write_bytes(data)
    return str(path)


def test_pictures_of_30000_pixels_a_side(tmp_path):
    path = giant_png(tmp_path / 'a.png', 30000)
    refused('a.png: ', LoadImage().load, path)
    refused('a.png: ', LoadImage(max_pixels=10**6).load, path)
    refused('a.png: cannot be read as an image', read_index_png, path)
    # below Pillow's own limit the option decides, before decoding
    path = giant_png(tmp_path / 'b.png', 5000)
    refused('5000x5000 pixels are more than max_pixels=1000000',
            LoadImage(max_pixels=10**6).load, path)


# ---- downloads ------------------------------------------------------------
class Handler(BaseHTTPRequestHandler):
    """Answers ``/to/ADDRESS`` by a redirection, all else by ``data``."""

    def do_GET(self):
        redirected = self.path.startswith('/to/')
        self.send_response(302 if redirected else 200)
        if redirected:
            self.send_header('Location', self.path[4:])
        else:
            self.send_header('Content-Length', str(len(self.server.data)))
        self.end_headers()
        if not redirected:
            self.wfile.write(self.server.data)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """The machine itself, which needs no certificate."""
    monkeypatch.setattr(download, 'SCHEMES', ('http', ))
    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        server.data = b'weights'
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f'http://127.0.0.1:{server.server_port}'
        yield server
        server.shutdown()


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
    """Names of the calls in a source that could run what a file says."""
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
            yield name


@pytest.mark.parametrize('source, number', [
    *((source, 1)
      for source in ('eval("1")', 'np.load(x, allow_pickle=True)',
                     'np.load(x)', 'torch.load(x, weights_only=False)',
                     'torch.load(x)', 'subprocess.run(x, shell=True)',
                     'run(x, shell=flag)', 'tar.extractall(x)')),
    *((source, 0)
      for source in ('np.load(x, allow_pickle=False)', 'model.eval()',
                     'torch.load(x, weights_only=True)', 're.compile(x)',
                     'run(x, shell=False)', 'ast.literal_eval(x)')),
])
def test_the_guard_sees(source, number):
    assert len(list(dangers(source))) == number


@pytest.mark.parametrize(
    'path', SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_dangerous_call(path):
    # behind the guard against other schemes and checksums
    guarded = path.parts[-2:] == ('utils', 'download.py')
    assert list(dangers(
        path.read_text('utf-8'))) == ['download_url_to_file'] * guarded


@pytest.mark.slow
@pytest.mark.parametrize('line', [None, 'eval(input())'])
def test_bandit(tmp_path, line, start):
    pytest.importorskip('bandit')
    ignored = shutil.ignore_patterns('__pycache__', '.mim', '*.egg-info')
    for folder in ('projects', 'tools'):
        if folder == 'tools' or line is None:
            shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    if line is not None:  # it can fail
        (tmp_path / 'projects').mkdir()
        (tmp_path / 'projects/a.py').write_text(line + '\n')
    audit = tmp_path / 'tools/audit.sh'
    done = start('bash', audit, '--code-only', cwd=tmp_path)
    assert done.returncode == (line is not None), done.stdout + done.stderr
    found = 'bandit found nothing in projects and tools' in done.stdout
    assert found == (line is None)
