# Copyright (c) group_wsss contributors. All rights reserved.
"""tools/env.sh and tools/setup_env.sh, with a pip that only writes down."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON = """#!/bin/sh
case "$*" in
    "-m pip --version") ;;
    "-m pip "*)
        echo "${MMCV_WITH_OPS:-0} $*" >>"$LOG"
        [ -z "$BROKEN" ] || ! echo "$*" | grep -q "$BROKEN" ;;
    "-m venv --clear "*)
        mkdir -p "$4/bin" && cp "$0" "$4/bin/python" &&
            echo "VIRTUAL_ENV=$4; PATH=$4/bin:$PATH" >"$4/bin/activate" ;;
    "-c import venv"*) ;;
    "-c import group_wsss") exit ${MISFIT:-0} ;;
    # the question whether torch 2.1 knows this Python
    *"< (3,12)"*) exit ${IS_312:-0} ;;
    *) exec REAL -S "$@" ;;
esac
"""
FILES = [
    'torch', 'mminstall', 'runtime', 'demo', 'optional', 'regions', 'onnx',
    'tests', 'docs'
]


class Box:
    """A checkout of scripts and requirements, and a fake environment."""

    def __init__(self, folder: Path) -> None:
        self.root, self.log = folder / 'checkout', folder / 'log'
        shutil.copytree(ROOT / 'requirements', self.root / 'requirements')
        (self.root / 'tools').mkdir()
        for name in ('env.sh', 'setup_env.sh'):
            shutil.copy(ROOT / 'tools' / name, self.root / 'tools')
        (self.root / 'setup.py').touch()
        self.venv = folder / 'venv'
        self.system = folder / 'system'
        for name in ('venv/bin/python', 'system/python3.11'):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(PYTHON.replace('REAL', sys.executable))
            path.chmod(0o755)

    def run(self, *words, active=True, **env):
        """``setup_env.sh``; returns the process and the calls of pip."""
        path = f'{self.system}:/usr/bin:/bin'
        settings = dict(HOME=str(self.root), LOG=str(self.log), BROKEN='')
        if active:
            path = f'{self.venv}/bin:{path}'
            settings['VIRTUAL_ENV'] = str(self.venv)
        self.log.write_text('')
        done = subprocess.run(
            ['bash', str(self.root / 'tools/setup_env.sh'), *words],
            env=dict(settings, PATH=path, **env),
            cwd=self.root,
            text=True,
            capture_output=True)
        calls = self.log.read_text().replace(f'{self.root}/', '')
        return done, calls.splitlines()

    @property
    def stamp(self) -> str:
        return (self.venv / '.group_wsss_requirements').read_text()


@pytest.fixture
def box(tmp_path) -> Box:
    return Box(tmp_path)


def paths(calls):
    """Requirement files in the order of installation."""
    return [c.split(' -r ')[1] for c in calls if ' -r ' in c]


def distribution(folder: Path, name: str, version: str) -> str:
    """A folder for PYTHONPATH where a distribution seems installed."""
    info = folder / f'{name}-{version}.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\n'
                                   f'Version: {version}\n')
    return str(folder)


def test_default(box):
    done, calls = box.run()
    assert done.returncode == 0, done.stderr
    assert paths(calls) == [f'requirements/{name}.txt' for name in FILES]
    assert calls[-1].endswith(f'--no-build-isolation -e {box.root}')
    assert not any(' -c ' in call or call[0] == '1' for call in calls)
    assert box.stamp.startswith('default ')
    assert box.run('--stack', 'default')[1] == box.run()[1] == []
    # a change of any of them is installed
    (box.root / 'requirements/openmmlab/torch.txt').write_text('torch==2.1.1')
    assert len(box.run()[1]) == 10


@pytest.mark.parametrize('words, env', [
    (['--stack', 'openmmlab'], {}),
    (['--stack=openmmlab'], {}),
    ([], dict(GROUP_WSSS_STACK='openmmlab')),
])
def test_openmmlab(box, words, env):
    done, calls = box.run(*words, **env)
    assert done.returncode == 0, done.stderr
    assert paths(calls) == [
        f'requirements/openmmlab/{name}.txt' for name in FILES[:3]
    ] + [f'requirements/{name}.txt' for name in FILES[3:]]
    # NumPy stays where torch 2.1 needs it, mmcv is compiled for that torch
    assert all(' -c requirements/openmmlab/torch.txt '
               '-c requirements/openmmlab/runtime.txt ' in call
               for call in calls[:-1])
    ops = [call for call in calls if call[0] == '1']
    assert paths(ops) == ['requirements/openmmlab/mminstall.txt']
    assert '--no-build-isolation' in ops[0]
    # whoever activates this environment need not say what it is
    assert box.stamp.startswith('openmmlab ')
    assert box.run()[1] == []
    assert 'unfinished' not in box.stamp


def test_interrupted(box):
    """What failed is gone on with, without being told the stack again."""
    done, calls = box.run('--stack', 'openmmlab', BROKEN='mminstall')
    assert done.returncode == 2 and 'installation failed' in done.stderr
    assert len(calls) == 2 and box.stamp == 'openmmlab unfinished\n'
    done, calls = box.run()
    assert done.returncode == 0 and paths(calls)[1].startswith(
        'requirements/openmmlab/')
    (box.venv / '.group_wsss_requirements').unlink()
    done, _ = box.run(MISFIT='1')
    assert done.returncode == 2 and 'do not fit together' in done.stderr
    assert box.stamp == 'default unfinished\n'


def test_somebody_elses_environment_is_kept(box, tmp_path):
    site = distribution(tmp_path / 'site', 'mmcv', '2.1.0')
    done, calls = box.run(PYTHONPATH=site)
    assert done.returncode == 0, done.stderr
    assert 'keeping mmcv 2.1.0' in done.stderr
    assert len(calls) == 1 and '[demo,optional,tests]' in calls[0]
    assert not paths(calls)


@pytest.mark.parametrize('name, version, stack', [
    ('mmcv', '2.1.0', 'default'),
    ('onedl_mmcv', '2.3.6', 'openmmlab'),
])
def test_families_are_not_mixed(box, tmp_path, name, version, stack):
    site = distribution(tmp_path / 'site', name, version)
    done, calls = box.run('--stack', stack, PYTHONPATH=site)
    assert done.returncode == 2 and calls == []
    assert done.stderr.count('\n') == 1
    assert f'has {name.replace("_", "-")} {version}, which' in done.stderr


def test_of_another_checkout(box, tmp_path):
    site = distribution(tmp_path, 'group_wsss', '0.1.0')
    other = tmp_path / 'another checkout'
    place = f'file://{str(other).replace(" ", "%20")}'
    info, = Path(site).glob('*.dist-info')
    (info / 'direct_url.json').write_text(f'{{"url": "{place}"}}')
    # the folder is gone, or was moved here
    done, calls = box.run(PYTHONPATH=site)
    assert not done.returncode and len(paths(calls)) == 9
    assert 'was that of' not in done.stderr
    (box.venv / '.group_wsss_requirements').write_text('default older')
    (other / 'tools').mkdir(parents=True)
    (other / 'tools/env.sh').touch()
    done, calls = box.run(PYTHONPATH=site)
    assert not done.returncode and len(paths(calls)) == 9
    assert (f'{box.venv} was that of {other}, and is set up for {box.root} '
            'now') in done.stderr


@pytest.mark.parametrize('words, folder', [
    ([], '.venv'),
    (['--stack', 'openmmlab'], '.venv-openmmlab'),
])
def test_an_environment_for_each_stack(box, words, folder):
    done, calls = box.run(*words, active=False)
    assert done.returncode == 0, done.stderr
    assert len(calls) == 10
    assert f'environment: {box.root}/{folder} (' in done.stdout
    assert (box.root / folder / '.group_wsss_requirements').is_file()
    assert box.run(*words, active=False)[1] == []


@pytest.mark.parametrize('words, message', [
    (['--stack'], 'usage:'),
    (['--stak', 'default'], 'usage:'),
    (['--stack', 'stock'], 'default or openmmlab, not stock'),
    (['--stack', 'openmmlab'], 'Python 3.10 or 3.11 is needed'),
])
def test_refused(box, words, message):
    done, calls = box.run(*words, IS_312='1')
    assert done.returncode == 2 and calls == []
    assert message in done.stderr and done.stderr.count('\n') == 1


def test_ignored_by_git():
    git = shutil.which('git')
    if git is None or not (ROOT / '.git').exists():
        pytest.skip('no git checkout')
    for name in ('.venv/x', '.venv-openmmlab/x', 'projects/group_wsss/.mim/x',
                 'build/x', 'dist/x', 'projects/group_wsss.egg-info/x'):
        done = subprocess.run([git, 'check-ignore', '-q', name],
                              cwd=ROOT,
                              env=dict(os.environ, LC_ALL='C'))
        assert done.returncode == 0, name
