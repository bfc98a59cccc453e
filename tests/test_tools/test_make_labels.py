# Copyright (c) group_wsss contributors. All rights reserved.
"""tools/make_labels.py: recipes in configs/recipes and the stages in them."""
import importlib
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from group_wsss.utils.errors import InputError
from .conftest import make_dump

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / 'configs/recipes').glob('*.py'))


@pytest.fixture
def plan(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import make_labels
    yield make_labels.plan
    sys.modules.pop('make_labels')


def recipe(stages, **more):
    return Config(
        dict(stages=stages, work_dir='w', image_dir='photos', **more))


def args(path, **more):
    values = dict(
        config=str(path),
        seed=3,
        nproc=2,
        gpus=1,
        keep_scores=False,
        fast=False)
    return SimpleNamespace(**{**values, **more})


@pytest.mark.parametrize('name', ['effnet-lite0_voc-layout', 'custom'])
def test_a_list_with_a_path_of_its_own(name, monkeypatch):
    path, = [path for path in RECIPES if path.stem == name]
    monkeypatch.setenv('DATA_ROOT', '/data')
    for given, wanted in (('a.txt', '/data/a.txt'), ('/b/a.txt', '/b/a.txt')):
        monkeypatch.setenv('TRAIN_LIST', given)
        assert Config.fromfile(path).image_list == wanted


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_recipes(path, plan):
    cfg = Config.fromfile(path)
    cfg.work_dir = 'w'
    stages = plan(cfg, args(path))
    left = {'saliency': 'saliency.json', 'regions': 'made_with.txt'}
    while stages[0].name in left:  # reads no config
        made = stages.pop(0)
        assert made.command[2:5] == [cfg.image_dir, '--out', f'w/{made.name}']
        assert made.command[-2:] == ['--image-list', cfg.image_list]
        assert made.outputs == [left[made.name]] and not made.config
        if made.name == 'regions':
            assert stages[-2].env['REGIONS_DIR'] == 'w/regions'
            continue
        fused, = [s for s in stages if 'SALIENCY_DIR' in s.env]
        assert fused.name == 'labels'
        assert fused.env['SALIENCY_DIR'] == 'w/saliency'
    for stage in stages:
        assert Path(stage.config).is_file()
        # what a stage trains on was made, not drawn by hand
        data = Config.fromfile(stage.config).get('train_dataloader', {})
        assert 'SegmentationClass' not in str(data)
        if stage.name != 'segmentor':  # whose validation may have masks
            text = Config.fromfile(stage.config).dump()
            assert 'SegmentationClass' not in text
    assert 'randomness.seed=3' in stages[0].command
    # score maps that nobody reads are not kept
    for stage in stages:
        if stage.command[1].endswith('refine_labels.py'):
            kept = '--keep-scores' in stage.command
            assert kept == (stage.name == 'walk')
    kept = plan(cfg, args(path, keep_scores=True))
    assert sum('--keep-scores' in s.command for s in kept) > 2
    assert 'mask' not in ' '.join(w for s in stages for w in s.command)
    assert [stage.name for stage in stages[-2:]] == ['labels', 'segmentor']
    assert stages[-2].command[1].endswith('refine_labels.py')
    assert stages[-1].env['PSEUDO_DIR'] == 'w/labels'
    assert f'`{path.name}`' in (ROOT / 'configs/recipes/README.md').read_text()


def test_fast(plan, tmp_path):
    (tmp_path / 'a.py').write_text('')
    slow = dict(name='one', tool='train', config='a.py', share=9)
    with pytest.raises(InputError, match='r.py: no stage has `fast`'):
        plan(recipe([slow]), args(tmp_path / 'r.py', fast=True))
    fast = dict(slow, options={'x': 1, 'y': 2}, fast={'x': 3, 'share': 4})
    for given, x, share in ((False, 'x=1', 9), (True, 'x=3', 4)):
        stage, = plan(recipe([fast]), args(tmp_path / 'r.py', fast=given))
        assert stage.command[-2:] == [x, 'y=2'] and stage.share == share


STAGES = [
    dict(name='one', tool='train', config='a.py',
         options={'x.y': 2, 'a': dict(b=3)}),
    dict(name='two', tool='refine', config='b.py', dump='{one}/z',
         options={'refiners.0.config': '{here}/a.py'}),
    dict(name='three', tool='train', config='a.py',
         env=dict(A='{two}', B='{last:one}'))
]  # yapf: disable


def test_commands(plan, tmp_path, monkeypatch):
    for name in ('a.py', 'b.py'):
        (tmp_path / name).write_text('')
    monkeypatch.setenv('SOME_ROOT', '/data')
    monkeypatch.delenv('OTHER', raising=False)
    made = recipe(
        STAGES, environment=['SOME_ROOT', 'OTHER'], image_list='list.json')
    first, second, third = plan(made, args(tmp_path / 'r.py'))
    options = [
        '--work-dir', 'w/one', '--cfg-options', 'randomness.seed=3', 'x.y=2',
        'a.b=3'
    ]
    assert first.command[2:] == [f'{tmp_path}/a.py', *options]
    assert second.command[2:] == [
        f'{tmp_path}/b.py', 'w/one/z', 'w/two', '--images', 'photos',
        '--nproc', '2', '--keep-scores', '--image-list', 'list.json',
        '--cfg-options', f'refiners.0.config={tmp_path}/a.py'
    ]
    assert second.needs == ['one'] and second.env == {'SOME_ROOT': '/data'}
    assert third.needs == ['one', 'two']
    assert third.env == dict(SOME_ROOT='/data', A='w/two', B='{last:w/one}')
    assert [s.outputs for s in (first, second, third)] == [['last_checkpoint'],
                                                           ['manifest.json'],
                                                           ['last_checkpoint']]
    first = plan(made, args(tmp_path / 'r.py', gpus=2))[0]
    assert first.command[0] == 'bash'
    assert first.command[1].endswith('tools/dist_train.sh')
    assert first.command[2:] == [f'{tmp_path}/a.py', '2', *options]


def test_what_judges_a_network_makes_no_labels_anew(plan, tmp_path,
                                                    monkeypatch):
    """Labels are not made again for a validation of stage 2."""
    (tmp_path / 'labels.py').write_text('')
    (tmp_path / 'seg.py').write_text("masks = '{{$MASK_DIR:none}}'")
    names = ['DATA_ROOT', 'MASK_DIR', 'VAL_LIST']
    stages = recipe([
        dict(name='labels', tool='refine', config='labels.py', dump='x'),
        dict(name='seg', tool='train', config='seg.py')
    ], environment=names)  # yapf: disable
    for key in names:
        monkeypatch.setenv(key, 'somewhere')
    labels, seg = plan(stages, args(tmp_path / 'r.py'))
    assert labels.env == dict(DATA_ROOT='somewhere')
    assert seg.env == dict(DATA_ROOT='somewhere', MASK_DIR='somewhere')


@pytest.mark.parametrize('stage, words', [
    (dict(tool='train', config='a.py'), "stages.1.name: ''"),
    (dict(name='../x', tool='train', config='a.py'), r"name: '\.\./x'"),
    (dict(name='one', tool='train', config='a.py'), "'one' is empty, taken"),
    (dict(name='x', tool='rm', config='a.py'), "stages.1.tool: 'rm'"),
    (dict(name='x', tool='train', config='no.py'), 'no.py: no such file'),
    (dict(name='x', tool='train', config='a.py', opts=1), "key 'opts'"),
    (dict(name='x', tool='refine', config='a.py', dump='{x}'),
     r'\{x\} is no stage before this one: one'),
    (dict(name='x', tool='train', config='a.py', env=dict(A='{last:y}')),
     r'\{last:y\} is no stage'),
])  # yapf: disable
def test_bad_recipes(stage, words, plan, tmp_path):
    (tmp_path / 'a.py').write_text('')
    good = dict(name='one', tool='train', config='a.py')
    with pytest.raises(InputError, match=words) as caught:
        plan(recipe([good, stage]), args(tmp_path / 'r.py'))
    assert str(tmp_path / 'r.py') in str(caught.value)
    with pytest.raises(InputError, match='has no `stages`'):
        plan(recipe([]), args(tmp_path / 'r.py'))


@pytest.mark.parametrize('changed, again', [
    ('data/list.json', 'train refine'),
    ('data/xml/a.xml', 'train'),
    ('data/weights.pth', 'train'),
    ('base.py', 'train'),
    ('other.py', 'refine'),
    ('base2.py', 'refine'),
    ('dump/ids.txt', 'refine'),
    ('w/train/last_checkpoint', ''),
    ('data/image.jpg', ''),
])
def test_contents_decide(changed, again, plan, tmp_path, monkeypatch):
    """What a stage reads and another stage did not make."""
    monkeypatch.chdir(tmp_path)
    texts = {
        'base.py': '',
        'base2.py': '',
        'other.py': '_base_ = "base2.py"',
        'train.py': '''
_base_ = ['base.py']
data = dict(data_root='data', ann_file='{{$LIST:none}}', xml_prefix='xml')
load_from = 'data/weights.pth'
resume_from = 'w/train/last_checkpoint'
''',
        'refine.py': ''
    }
    names = ('data/list.json', 'data/xml/a.xml', 'data/weights.pth',
             'dump/ids.txt', 'w/train/last_checkpoint', 'data/image.jpg')
    for name, text in [*texts.items(), *((name, 'x') for name in names)]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    made = recipe([
        dict(name='train', tool='train', config='train.py',
             env=dict(LIST='list.json')),
        dict(name='refine', tool='refine', config='refine.py', dump='dump',
             options={'refiners.0.config': 'other.py'})
    ], image_list='data/list.json')  # yapf: disable

    def prints():
        return {
            stage.name: stage.fingerprint({})
            for stage in plan(made, args(tmp_path / 'r.py'))
        }

    before = prints()
    assert prints() == before
    (tmp_path / changed).write_text('# new')
    after = prints()
    assert ' '.join(n for n in after if after[n] != before[n]) == again


@pytest.mark.slow
def test_run(tmp_path, call_tool, capsys, monkeypatch, refuse):
    """Two refinements of a dump, skipped the second time."""
    monkeypatch.chdir(tmp_path)
    dump = make_dump(tmp_path, 3)
    shutil.copy(ROOT / 'configs/refine/threshold.py', tmp_path)
    path = tmp_path / 'two.py'
    path.write_text(f'''
image_dir = {str(tmp_path / 'photos')!r}
stages = [
    dict(name='one', tool='refine', config='threshold.py', dump={str(dump)!r}),
    dict(name='two', tool='refine', config='threshold.py', dump='{{one}}')]
next_step = 'look at {{two}}'
''')
    call_tool('make_labels', path, '--work-dir', 'w')
    out = capsys.readouterr().out
    assert '[1/2] one' in out and '[2/2] two' in out
    assert 'Next:\n  look at w/two' in out
    assert {p.name
            for p in (tmp_path / 'w/two').glob('*.png')
            } == {'0.png', '1.png', '2.png'}
    call_tool('make_labels', path, '--work-dir', 'w')
    assert capsys.readouterr().out.count('done before') == 2
    path.write_text(path.read_text().replace("'{one}'", f'{str(dump)!r}'))
    call_tool('make_labels', path, '--work-dir', 'w')
    out = capsys.readouterr().out
    assert out.count('done before') == 1 and '[2/2] two\n' in out
    (dump / 'manifest.json').write_text('{')
    assert 'dump/manifest.json' in refuse('make_labels', path, '--work-dir',
                                          'w')


def test_until_and_what_comes_next(tmp_path, call_tool, monkeypatch, capsys,
                                   refuse):
    """``--until`` ends early; the whole recipe ends with a whole command."""
    made = {}
    (tmp_path / 'a.py').write_text('')
    (tmp_path / 'recipe.py').write_text(
        "environment = ['DATA_ROOT']\n"
        "stages = [dict(name='labels', tool='train', config='a.py'),\n"
        "          dict(name='segmentor', tool='train', config='a.py')]\n"
        "next_step = 'python tools/predict.py {segmentor}/a.py "
        "{last:segmentor} IMAGES'\n")

    def run(stage, work_dir, records, number):
        made[stage.name] = dict(stage.env)
        stage.folder.mkdir(parents=True, exist_ok=True)
        (stage.folder / 'last_checkpoint').write_text('/elsewhere/iter_9.pth')
        return dict(seconds=60, fingerprint='')

    monkeypatch.syspath_prepend(str(ROOT / 'tools/misc'))
    monkeypatch.setattr(importlib.import_module('stages'), 'run_stage', run)
    work = tmp_path / 'w k'
    words = [tmp_path / 'recipe.py', '--work-dir', work, '--data', '/images']
    call_tool('make_labels', *words, '--until', 'labels')
    said = capsys.readouterr().out
    assert list(made) == ['labels'] and 'Next' not in said
    assert f'label images    {work}/labels' in said
    call_tool('make_labels', *words)
    said = capsys.readouterr().out
    assert made['segmentor'] == dict(DATA_ROOT='/images')
    assert f"'{work}/segmentor/iter_9.pth' IMAGES" in said
    assert '--until nothing: the stages of' in refuse('make_labels', *words,
                                                      '--until', 'nothing')
