# Copyright (c) group_wsss contributors. All rights reserved.
"""The wheel, used where there is no checkout."""
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from group_wsss import __main__ as command_line
from group_wsss.datasets import generate_toy
from group_wsss.utils import home
from group_wsss.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def wheel(tmp_path_factory, start) -> Path:
    """Folder of an unpacked wheel, made of a copy of the checkout."""
    pytest.importorskip('setuptools')
    copy = tmp_path_factory.mktemp('checkout')
    for name in ('setup.py', 'setup.cfg', 'MANIFEST.in', 'README.md',
                 'LICENSE', 'model-index.yml'):
        shutil.copy(ROOT / name, copy)
    ignored = shutil.ignore_patterns('__pycache__', '*.egg-info', '.mim')
    for name in ('requirements', 'configs', 'tools', 'projects'):
        shutil.copytree(
            ROOT / name, copy / name, symlinks=True, ignore=ignored)
    # left behind by an older build
    stale = copy / 'build' / 'lib' / 'group_wsss' / '.mim' / 'configs'
    stale.mkdir(parents=True)
    (stale / 'stale.py').touch()
    out = tmp_path_factory.mktemp('dist')
    done = start(
        sys.executable,
        '-c', 'import sys; from setuptools import build_meta; '
        'build_meta.build_wheel(sys.argv[1])',
        out,
        cwd=copy)
    assert done.returncode == 0, done.stderr
    found, = out.glob('group_wsss-*.whl')
    assert not (copy / 'projects/group_wsss/.mim').exists()
    folder = tmp_path_factory.mktemp('site')
    with zipfile.ZipFile(found) as file:
        file.extractall(folder)
    return folder


def test_contents(wheel):
    package = wheel / 'group_wsss'
    assert (package / 'py.typed').is_file()
    sources = ROOT / 'projects' / 'group_wsss'
    for kind in ('*.py', 'contrib/report/static/*'):
        wanted = [path.relative_to(sources) for path in sources.glob(kind)]
        assert len(wanted) > 2
        assert all((package / path).is_file() for path in wanted)
    extra = package / '.mim'
    wanted, found = ({
        path.relative_to(root).as_posix()
        for name in ('configs', 'tools')
        for path in (root / name).rglob('*')
        if path.suffix in ('.py', '.md', '.yml', '.sh')
    } for root in (ROOT, extra))
    # of use in a checkout only
    assert wanted - found == {
        f'tools/{script}.sh'
        for script in ('build_docs', 'env', 'quickstart', 'run_tests',
                       'setup_env')
    }
    assert not found - wanted
    index = (extra / 'model-index.yml').read_bytes()
    assert index == (ROOT / 'model-index.yml').read_bytes()
    for path in yaml.safe_load(index)['Import']:
        models = yaml.safe_load((extra / path).read_text())['Models']
        for model in models:
            assert (extra / model['Config']).is_file(), model['Name']
    assert not list(wheel.rglob('test_*.py'))


@pytest.fixture
def run(start, wheel, tmp_path):
    """Run Python where the wheel is and no checkout."""

    def call(*words, **env):
        return start(
            sys.executable, *words, cwd=tmp_path, PYTHONPATH=wheel, **env)

    return call


@pytest.mark.slow
def test_train_outside_of_the_checkout(run, wheel, tmp_path):
    """A training of one step and its labels, as a user types it."""
    generate_toy(str(tmp_path / 'toy'), 16, 2)
    done = run(
        '-m',
        'group_wsss',
        'train',
        'group_wsss::group_wsss/toy.py',
        '--cfg-options',
        'train_cfg.max_iters=1',
        'train_dataloader.batch_size=4',
        TOY_ROOT='toy')
    assert done.returncode == 0, done.stderr
    assert ('python -m group_wsss train group_wsss::deeplabv3/'
            'deeplabv3_tiny_toy.py') in done.stdout + done.stderr
    assert (tmp_path / 'work_dirs/toy/iter_1.pth').is_file()
    labels = tmp_path / 'work_dirs/toy/pseudo_labels'
    assert len(list(labels.glob('*.png'))) == 16
    assert not list((wheel / 'group_wsss/.mim').rglob('work_dirs'))


def test_commands_of_the_wheel(wheel, run):
    """Names of what was installed, and one line for what was not."""
    configs = wheel / 'group_wsss/.mim/configs'
    code = (
        'from pathlib import Path\n'
        'from group_wsss.utils.home import *\n'
        'assert not in_checkout()\n'
        'print(find_config("group_wsss::refine/seeds.py"))\n'
        'print(spell("A=b python tools/train.py configs/a/b.py x/configs/c/d '
        '--n"))\n'
        'print(spell("bash tools/dist_train.sh configs/a.py 4"))\n'
        'print(*sorted(list_tools()))')
    lines = run('-c', code).stdout.splitlines()
    assert lines[:3] == [
        str(configs / 'refine/seeds.py'),
        'A=b python -m group_wsss train group_wsss::a/b.py x/configs/c/d --n',
        'python -m group_wsss dist_train configs/a.py 4'
    ]
    # the same as in the checkout
    assert lines[3].split() == sorted(home.list_tools())
    done = run('-m', 'group_wsss', 'dist_train', 'group_wsss::toy.py', 2)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.startswith('error: group_wsss::toy.py: no such config')
    assert done.stderr.count('\n') == 1


def test_lists(capsys):

    def call(*words):
        assert command_line.main(list(words)) == 0
        return capsys.readouterr().out

    assert call().startswith('usage: python -m group_wsss')
    assert call('--help') == call()
    assert call('configs').strip() == str(ROOT / 'configs')
    text = call('tools')
    rows = dict(line.split(None, 1) for line in text.splitlines())
    assert rows['train'].startswith('Train: stage 1')
    assert rows['dist_train'].startswith('Train on several processes')
    assert {'make_labels', 'report', 'dataset_converters/toy'} < set(rows)
    # a module, what measures the repository, what sets a checkout up
    assert not {'misc/stages', 'env', 'run_tests'} & set(rows)
    assert not any(name.startswith('benchmarks') for name in rows)


def test_every_tool_has_a_name_of_its_own():
    stems = [name.rpartition('/')[2] for name in home.list_tools()]
    assert len(stems) == len(set(stems)) > 15
    for name in home.list_tools():
        for spelt in (name, name.rpartition('/')[2], name.replace('_', '-')):
            assert home.find_tool(spelt).stem == name.rpartition('/')[2]


@pytest.mark.parametrize('words, message', [
    (['trian'], 'trian: no such tool. Did you mean train?'),
    (['qqq'], 'qqq: no such tool. They are listed by'),
    (['train', 'group_wsss::group_wsss/toi.py'
      ], 'did you mean group_wsss::group_wsss/toy.py?'),
    (['train', 'group_wsss::qqq.py'], f'no such config in {ROOT}'),
])
def test_one_line_for_what_is_not_there(words, message):
    with pytest.raises(InputError, match='^[^\n]*$') as caught:
        command_line.main(words)
    assert message in str(caught.value)


def test_arguments_reach_the_tool(monkeypatch, tmp_path):
    """With a config in place of its name, and the script's own folder."""
    tool = tmp_path / 'tool.py'
    tool.write_text('import sys\nfrom pathlib import Path\n'
                    'import beside\n'
                    'Path(sys.argv[1]).write_text(repr(sys.argv))\n')
    (tmp_path / 'beside.py').touch()
    monkeypatch.setattr(command_line, 'find_tool', lambda name: tool)
    monkeypatch.setattr(sys, 'argv', ['x'])
    monkeypatch.setattr(sys, 'path', [str(ROOT), *sys.path])
    config = ROOT / 'configs/group_wsss/toy.py'
    out = str(tmp_path / 'out')
    words = ['tool', out, 'group_wsss::group_wsss/toy.py', 'a::b']
    assert command_line.main(words) == 0
    assert Path(out).read_text() == repr([str(tool), out, str(config), 'a::b'])


def test_status_of_a_shell_tool(monkeypatch, tmp_path):
    """Is handed on; `python` is the one that runs."""
    tool = tmp_path / 'tool.sh'
    tool.write_text('[ "$(command -v python)" = "$1" ] && exit 7\nexit 1\n')
    python = tmp_path / 'bin' / 'python'
    python.parent.mkdir()
    python.write_text('#!/bin/sh\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(python))
    assert command_line.run_tool(tool, [str(python)]) == 7


def test_a_checkout_and_nowhere(tmp_path):
    step = 'python tools/train.py configs/group_wsss/toy.py'
    assert home.in_checkout() and home.spell(step) == step
    with pytest.raises(InputError, match='without configs and tools'):
        home.find_home(tmp_path / 'site' / 'group_wsss')
