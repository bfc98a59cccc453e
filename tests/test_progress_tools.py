# Copyright (c) group_wsss contributors. All rights reserved.
"""Every tool that goes through images says how far it is."""
import io
import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.structures import DumpWriter, ScoreMap, encode_index_png
from group_wsss.utils.progress import VARIABLE

ROOT = Path(__file__).resolve().parents[1]
STAGE1 = ROOT / 'tests' / 'configs' / 'tiny_group_cam.py'
REFINE = ROOT / 'configs' / 'refine' / 'threshold.py'
# why these need no report of their own
OTHERS = dict(
    train="mmengine's log, EpochSummaryHook",
    make_prototypes='tests/test_pseudo_labels/test_refiners/test_judge.py',
    make_regions='tests/test_contrib/test_regions.py',
    make_saliency='tests/test_contrib/test_saliency.py',
    test="mmengine's log",
    text_features='no images',
    make_labels='runs other tools, by misc/stages.py',
    quickstart='runs other tools, by misc/stages.py',
    **{
        'misc/compact_weights': 'reads one file',
        'misc/print_config': 'no images',
        'misc/stages': 'is no tool; below',
        'misc/stage_progress': 'likewise',
        'misc/stage_facts': 'likewise',
        'misc/quickstart_sheet': 'likewise',
        'dataset_converters/from_coco': 'reads one file',
        'dataset_converters/from_csv': 'reads one file',
        'dataset_converters/from_cvat': 'reads one file',
        'dataset_converters/from_folders': 'lists names, opens no file',
        'dataset_converters/from_label_studio': 'reads one file',
        'dataset_converters/from_npy': 'reads one file',
    })
# more than any tool takes at a time
COUNT = 40


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A dump with scores, images, masks and annotations of them."""
    root = tmp_path_factory.mktemp('progress')
    rng = np.random.default_rng(0)
    for name in ('photos', 'masks', 'xml'):
        (root / name).mkdir()
    writer = DumpWriter(str(root / 'dump'), ['cat', 'dog'])
    for i in range(COUNT):
        score_map = ScoreMap(f'{i}', (16, 20), [0, 1], rng.random((2, 4, 5)))
        score_map.save(f'{writer.staging}/scores/{i}.npz')
        writer.write(f'{i}', ThresholdLabeler()(score_map))
        pixels = rng.integers(0, 256, (16, 20, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / f'photos/{i}.jpg')
        (root / f'masks/{i}.png').write_bytes(
            encode_index_png(rng.choice(3, (16, 20)).astype(np.uint8)))
        (root / f'xml/{i}.xml').write_text(
            '<annotation><object><name>cat</name></object></annotation>')
    writer.finish()
    (root / 'ids.txt').write_text('3\n')
    images = [dict(id=f'{i}', labels=[0]) for i in range(COUNT)]
    (root / 'tags.json').write_text(
        json.dumps(dict(classes=['cat', 'dog'], images=images)))
    return root


@pytest.fixture(scope='module')
def weights(tiny_voc, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DATA_ROOT', str(tiny_voc))
        cfg = Config.fromfile(STAGE1)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        net = MODELS.build(cfg.model)
    path = tmp_path_factory.mktemp('weights') / 'tiny.pth'
    torch.save(dict(state_dict=net.state_dict()), path)
    return path


def coco(root, out):
    (out / 'train2014').mkdir(parents=True)
    box = [1, 1, 9, 1, 9, 9, 1, 9]
    for i in range(COUNT):
        (out / f'train2014/{i}.jpg').symlink_to(root / f'photos/{i}.jpg')
    content = dict(
        categories=[dict(id=1, name='cat')],
        images=[
            dict(id=i, file_name=f'{i}.jpg', height=16, width=20)
            for i in range(COUNT)
        ],
        annotations=[
            dict(
                id=i,
                image_id=i,
                category_id=1,
                iscrowd=0,
                area=64,
                segmentation=[box]) for i in range(COUNT)
        ])
    (out / 'all.json').write_text(json.dumps(content))
    return ('--root', out, '--split', 'train2014', '--json', out / 'all.json')


def voc12(root, out):
    """The archives of VOC and SBD; ids v0, v1 and s2, s3, s4."""
    pytest.importorskip('scipy')
    from scipy.io import savemat
    out.mkdir()
    voc, sbd = 'VOCdevkit/VOC2012', 'benchmark_RELEASE/dataset'
    lists = f'{voc}/ImageSets/Segmentation'
    mask = (root / 'masks/0.png').read_bytes()
    mat = io.BytesIO()
    savemat(mat, dict(GTcls=dict(Segmentation=np.ones((16, 20), np.uint8))))
    files = {
        f'{lists}/train.txt': b'v0\n',
        f'{lists}/val.txt': b'v1\n',
        f'{voc}/SegmentationClass/v0.png': mask,
        f'{voc}/SegmentationClass/v1.png': mask,
    }
    others = {f'{sbd}/train.txt': b's2\ns3\n', f'{sbd}/val.txt': b's4\n'}
    for name in ('v0', 'v1', 's2', 's3', 's4'):
        files[f'{voc}/JPEGImages/{name}.jpg'] = b'x'
        files[f'{voc}/Annotations/{name}.xml'] = b'<annotation/>'
        if name[0] == 's':
            others[f'{sbd}/cls/{name}.mat'] = mat.getvalue()
    for name, kind, content in (('VOCtrainval_11-May-2012.tar', 'w', files),
                                ('benchmark.tgz', 'w:gz', others)):
        with tarfile.open(out / name, kind) as tar:
            for path, data in content.items():
                info = tarfile.TarInfo(path)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    # train and trainaug: v0 and all of SBD
    return ('--root', out, '--no-checksum', '--expect-count', 4)


def export(kind, out='out'):
    return lambda root, path: (root / 'dump', path if out == 'out' else out,
                               '--format', kind, '--suffix', '.jpg')


# arguments by tool, from the folder above and a place for results; and the
# steps of the longest loop
TOOLS = {
    'eval_labels': (lambda root, out:
                    (root / 'dump', root / 'masks', '--nproc', 1), COUNT),
    'analyze_labels':
    (lambda root, out:
     (root / 'dump', '--masks', root / 'masks', '--out', out), 2 * COUNT),
    'refine_labels': (lambda root, out: (REFINE, root / 'dump', out), COUNT),
    'report':
    (lambda root, out:
     (root / 'dump', '--images', root / 'photos', '--out', out), COUNT),
    'result_card':
    (lambda root, out:
     (root / 'dump', '--masks', root / 'masks', '--out', out), COUNT),
    'export_labels': (export('yolo-seg'), COUNT),
    'leave_out': (lambda root, out:
                  (root / 'dump', root / 'ids.txt', '-o', out), COUNT),
    'import_masks': (lambda root, out:
                     (root / 'masks', '--format', 'png', '--image-list', root /
                      'tags.json', '--out', out), COUNT),
    'browse_groups': (lambda root, out: (STAGE1, '--num', 3, '--out', out), 3),
    'dataset_converters/toy':
    (lambda root, out:
     ('-o', out, '--num-train', 3, '--num-val', 2, '--size', 32), 5),
    'dataset_converters/from_voc_xml':
    (lambda root, out: (root / 'xml', '-o', f'{out}.json'), COUNT),
    'dataset_converters/coco': (coco, COUNT),
    'dataset_converters/voc12_aug': (voc12, 5),
}


@pytest.fixture
def told(call_tool, tmp_path, tiny_voc, monkeypatch, capsys):
    """What a tool says of its progress, off a terminal."""
    monkeypatch.setenv(VARIABLE, '0')
    monkeypatch.setenv('DATA_ROOT', str(tiny_voc))

    def run(name, *args):
        call_tool(name, *args)
        out, err = capsys.readouterr()
        assert '\r' not in out + err
        return re.findall(r'(\d+)/(\d+), [\d hmins]+ left$', err, re.M)

    return run


@pytest.mark.parametrize('name', TOOLS)
def test_tool(name, told, root, tmp_path):
    arguments, steps = TOOLS[name]
    lines = told(name, *arguments(root, tmp_path / 'out'))
    # from the first to the last
    totals = {int(total) for _, total in lines}
    assert max(totals) >= steps
    most = [int(done) for done, total in lines if int(total) == max(totals)]
    assert most[-1] == max(totals) and len(most) > 1
    assert most == sorted(most)


@pytest.mark.parametrize('kind', ('coco-instances', 'coco-semantic', 'npz'))
def test_other_formats(kind, told, root, tmp_path):
    out = tmp_path / ('out' if kind == 'npz' else 'out.json')
    suffix = [] if kind == 'npz' else ['--suffix', '.jpg']
    lines = told('export_labels', root / 'dump', out, '--format', kind,
                 *suffix)
    assert lines[-1] == (str(COUNT), str(COUNT))


def test_demo(told, weights, root, tmp_path):
    lines = told('demo', root / 'photos', STAGE1, weights, '--out',
                 tmp_path / 'out')
    # tags first, then class maps
    wanted = [(str(i + 1), str(COUNT)) for i in range(COUNT)]
    assert lines == wanted + wanted


def test_export_onnx(told, weights, tmp_path):
    for name in ('onnx', 'onnxruntime'):
        pytest.importorskip(name)
    lines = told('deployment/export_onnx', STAGE1, weights, '--out',
                 tmp_path / 'x.onnx', '--verify')
    assert lines == [('1', '1')]


def test_no_tool_is_forgotten():
    tools = {
        str(path.relative_to(ROOT / 'tools').with_suffix(''))
        for path in (ROOT / 'tools').rglob('*.py')
        if path.parent.name != 'benchmarks'
    }
    known = {*TOOLS, *OTHERS, 'demo', 'predict', 'deployment/export_onnx'}
    assert tools == known


def test_stages_pass_it_on(tmp_path, monkeypatch, capsys):
    """make_labels.py and quickstart.py show what their tools say."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools' / 'misc'))
    monkeypatch.setenv(VARIABLE, '0')
    import sys

    from stages import Stage, run_stages
    code = ('import sys; sys.path.insert(0, sys.argv[1]); '
            'from group_wsss.utils.progress import Progress; '
            'list(Progress("maps").over([1, 2], 2)); '
            'print("Iter(train) [2/3] lr: 1  eta: 0:02:05  loss: 0.5 x: 1"); '
            'print("Iter(val) [2/3]  eta: 0:00:05"); print("else")')
    command = [sys.executable, '-c', code, str(ROOT / 'projects')]
    run_stages([Stage('one', 'a stage', command, {}, [])], str(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == [
        '[1/1] a stage', '  stage 1 of 1: one (maps) 1/2, 0 s left',
        '  stage 1 of 1: one (maps) 2/2, 0 s left',
        '  stage 1 of 1: one 2/3, 2 min left, loss 0.5'
    ]
