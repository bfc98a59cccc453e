# Copyright (c) group_wsss contributors. All rights reserved.
"""The package as a whole: what it imports, how it is laid out."""
import ast
import re
import sys
from pathlib import Path

import pytest

import group_wsss
from group_wsss.utils import stack

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'projects' / 'group_wsss'
# a room imports only rooms before it
ROOMS = [
    'utils', 'structures', 'datasets', 'models', 'pseudo_labels', 'evaluation',
    'visualization', 'engine', 'apis', 'contrib'
]
COMMON = ['registry', 'version']
# parts of contrib that need another one
CONTRIB = {'card': {'analysis', 'report'}, 'report': {'analysis', 'exporters'}}
SOURCES = sorted(
    path for folder in ('projects', 'tools', 'tests', 'configs', 'benchmarks')
    for path in (ROOT / folder).rglob('*.py')) + [ROOT / 'setup.py']


@pytest.mark.parametrize('module, absent', [
    ('group_wsss', 'numpy torch torchvision cv2 PIL matplotlib mmengine mmcv '
     'mmseg mmpretrain'),
    ('group_wsss.registry', 'mmcv mmseg mmpretrain'),
    ('group_wsss.utils.cli', 'torch mmengine mmseg mmpretrain'),
])
def test_import_is_light(module, absent, start):
    """Nothing heavy before a component is asked for."""
    code = f'import sys, {module}; print(*sys.modules)'
    done = start(sys.executable, '-c', code, cwd=ROOT / 'projects')
    loaded = done.stdout.split()
    assert module in loaded, done.stderr
    assert not set(absent.split()) & set(loaded)


def libraries(**changes):
    """Stock libraries that fit, but for ``changes``; '' is not installed."""
    versions = dict(
        torch='2.1.2+cu121',
        mmengine='0.10.7',
        mmcv='2.1.0',
        mmseg='1.2.2',
        mmpretrain='1.2.0',
        numpy='1.26.4')
    names = {module: row[2][:1] for module, row in stack.REQUIRED.items()}
    compiled = changes.pop('compiled', True)
    names.update(changes.pop('names', {}), numpy=('numpy', ))
    versions.update(changes)
    return {
        module:
        stack.Installed(version, names[module] if version else (), compiled)
        for module, version in versions.items()
    }


FORKS = dict(
    torch='2.11.0',
    mmengine='0.10.12',
    mmcv='2.3.6',
    mmseg='1.4.2',
    mmpretrain='1.3.6',
    numpy='2.4.6',
    compiled=False,
    names=dict(
        mmengine=('onedl-mmengine', ),
        mmcv=('onedl-mmcv', ),
        mmseg=('onedl-mmsegmentation', ),
        mmpretrain=('onedl-mmpretrain', )))


@pytest.mark.parametrize('changes', [
    dict(),
    FORKS,
    dict(mmengine='0.10.0', mmcv='2.0.0rc4'),
    dict(mmengine='0.11.0rc0'),
    dict(torch='2.3.0', numpy='2.0.0'),
])
def test_stack_admits(changes):
    stack.check(libraries(**changes))


def refusal(changes):
    """The message about libraries that do not fit."""
    with pytest.raises(ImportError) as caught:
        stack.check(libraries(**changes))
    return str(caught.value)


TWO = dict(names=dict(mmcv=('mmcv', 'onedl-mmcv')))


@pytest.mark.parametrize('changes, words', [
    (dict(mmengine='0.9.1'), ['mmengine>=0.10.0,<0.12 (found 0.9.1)']),
    (dict(mmengine='0.12.0'), ['mmengine', 'found 0.12.0']),
    (dict(mmcv='1.7.2'), ['mmcv>=2.0.0,<2.5 (found 1.7.2)']),
    (dict(mmcv=''), ['mmcv>=2.0.0,<2.5 (not installed)']),
    (dict(mmseg='1.6.0'), ['mmsegmentation>=1.2.0,<1.6']),
    (dict(mmpretrain='', mmseg='0.30.0'), ['mmpretrain', 'found 0.30.0']),
    (dict(torch='2.0.1'), ['torch>=2.1.0,<3 (found 2.0.1)']),
    (dict(torch=''), ['torch>=2.1.0,<3 (not installed)']),
    (dict(numpy='2.0.0'),
     ['numpy<2 for torch 2.1.2+cu121 (found 2.0.0)', '"numpy<2"']),
    (dict(torch='2.2.9', numpy='2.1.0'), ['numpy<2 for torch 2.2.9']),
    (dict(mmcv='2.2.0'), ['mmcv<2.2 for mmsegmentation 1.2.2 (found 2.2.0)']),
    (dict(compiled=False),
     ['mmcv with compiled operators for mmsegmentation 1.2.2 (2.1.0 was']),
    (TWO, ['one of mmcv and onedl-mmcv, which overwrite each other']),
])
def test_stack_refuses(changes, words):
    message = refusal(changes)
    assert '\n' not in message
    for word in words:
        assert word in message
    # one cause, one complaint
    assert message.count('(found') + message.count('(not') <= len(words)


@pytest.mark.parametrize('changes, stock, forks, torch', [
    (dict(mmcv=''), True, False, False),
    (dict(FORKS, mmcv=''), False, True, False),
    (dict(FORKS, torch=''), False, True, True),
    (dict(mmcv='', mmseg='', mmpretrain='', mmengine=''), True, True, False),
    (TWO, True, True, False),
])
def test_stack_names_the_cure(changes, stock, forks, torch):
    """Of the family that is there; of both if none is, or parts of both."""
    message = refusal(changes)
    assert (stack.STOCK[2] in message) == stock
    assert (stack.FORKS[2] in message) == forks
    assert ('pip install torch==' in message) == torch


def read_pins(name):
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if not line.startswith('#')]


@pytest.mark.parametrize('family, folder', [(stack.FORKS, ''),
                                            (stack.STOCK, 'openmmlab/')])
def test_cures_are_the_requirements(family, folder):
    torch = [word for word in family[1].split() if '==' in word]
    packages = [word for word in family[2].split() if '==' in word]
    assert set(torch) < set(read_pins(f'{folder}torch'))
    wanted = [
        line for line in read_pins(f'{folder}mminstall')
        if re.match('(onedl-)?mm', line)
    ]
    assert packages == wanted and len(wanted) == 4
    versions = dict(line.split('==') for line in torch + packages)
    stack.check(
        libraries(
            **{
                module: next(v for n, v in versions.items() if n in row[2])
                for module, row in stack.REQUIRED.items()
            }) if folder else libraries(**FORKS))


def test_find_reads_a_source_checkout(tmp_path, monkeypatch):
    package = tmp_path / 'a_package_of_sources'
    package.mkdir()
    (package / '__init__.py').write_text('raise RuntimeError("imported")')
    (package / 'version.py').write_text("__version__ = '2.1.0'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = stack.find(package.name, ('no-such-dist', ))
    assert found == stack.Installed('2.1.0', (), False)
    (package / '_ext.cpython-311-x86_64-linux-gnu.so').touch()
    assert stack.find(package.name, ()).compiled
    assert stack.find('no_such_module', ('no-such-dist', )).version == ''
    found = stack.find('pytest', ('no-such-dist', 'pytest', 'numpy'))
    assert found.names == ('pytest', 'numpy')
    assert found.version == pytest.__version__


def imports_of(path):
    """Names of what a file imports; relative ones are made absolute."""
    # the package that `from . import` means
    parts = list(path.relative_to(
        PACKAGE.parent).parts[:-1]) if PACKAGE in path.parents else []
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split('.') for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parts[:len(parts) - node.level + 1] * bool(node.level)
            for alias in node.names:
                yield base + (node.module or alias.name).split('.')


def test_one_import_name():
    assert not (ROOT / 'projects' / '__init__.py').exists()
    for path in SOURCES:
        assert not any(name[0] == 'projects'
                       for name in imports_of(path)), path


def test_rooms_import_upwards_only():
    """Among them: nothing outside contrib imports it, and who needs whom."""
    seen, needs = set(), {}
    for path in PACKAGE.rglob('*.py'):
        room, *rest = path.relative_to(PACKAGE).parts
        if room == '.mim':
            continue
        allowed = COMMON + ['utils']
        if room in ROOMS:
            allowed = COMMON + ROOMS[:ROOMS.index(room) + 1]
        for package, *names in imports_of(path):
            if package != 'group_wsss' or not names:
                continue
            target, *part = names
            seen.add(target)
            assert target in allowed, f'{path} imports {target}'
            if target == 'contrib' and part and part[0] != rest[0]:
                needs.setdefault(rest[0], set()).add(part[0])
    assert {'utils', 'structures', 'registry', 'contrib'} <= seen
    assert needs == CONTRIB


def test_readme_names_every_part_of_contrib():
    readme = (PACKAGE / 'contrib' / 'README.md').read_text('utf-8')
    for part in (PACKAGE / 'contrib').glob('*/__init__.py'):
        assert f'`{part.parent.name}`' in readme


def test_no_mm_package_is_required(monkeypatch):
    import runpy

    import setuptools
    given = {}
    monkeypatch.setattr(setuptools, 'setup', given.update)
    runpy.run_path(str(ROOT / 'setup.py'))
    assert given['version'] == group_wsss.__version__
    assert 'group_wsss' in given['packages']
    wanted = given['install_requires'] + sum(given['extras_require'].values(),
                                             [])
    assert 'numpy' in given['install_requires']
    assert 'pytest' in given['extras_require']['tests']
    for name in wanted:
        assert not re.match('(onedl-)?mm', name), name


def test_requirements_are_pinned():
    pinned = 0
    for path in (ROOT / 'requirements').rglob('*.txt'):
        for line in path.read_text().splitlines():
            line = line.split('#')[0].split(';')[0].strip()
            if line:
                assert re.fullmatch(r'[\w.-]+==[\w.]+', line), (path, line)
                pinned += 1
        # the docs are built apart, by Python 3.11 or later
        if path.stem != 'docs' and path.parent.name != 'openmmlab':
            assert f'-r requirements/{path.name}' in (
                ROOT / 'requirements.txt').read_text()
    assert pinned > 8


@pytest.mark.parametrize(
    'path',
    sorted((ROOT / 'configs').rglob('*.py')),
    ids=lambda path: str(path.relative_to(ROOT)))
def test_configs_import_nothing(path):
    """Stock mmengine takes a file that does for one of the lazy kind.

    So it does in a virtual environment even with the standard library.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, (ast.Import, ast.ImportFrom)), path


@pytest.mark.parametrize(
    'path', SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_style(path):
    """What flake8 does not look for."""
    text = path.read_text(encoding='utf-8')
    assert text.startswith('# Copyright (c) group_wsss contributors. '
                           'All rights reserved.\n')
    if 'tests' not in path.parts:
        # a path of somebody's machine
        assert not re.search(r'''['" =](/tmp|/work|/root|/home)/''', text)


@pytest.mark.parametrize(
    'path',
    sorted((ROOT / 'tools').rglob('*.sh')) + [ROOT / '.ci' / 'run'],
    ids=lambda path: path.name)
def test_shell_scripts_parse(path, start):
    done = start('bash', '-n', path, cwd=ROOT)
    assert done.returncode == 0, done.stderr
