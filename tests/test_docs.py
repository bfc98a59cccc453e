# Copyright (c) group_wsss contributors. All rights reserved.
"""What README and docs/ say exists, parses and runs."""
import argparse
import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import textwrap
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from group_wsss import registry as registries
from group_wsss.structures import ScoreMap, read_index_png
from group_wsss.utils.config import walk

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / 'docs'
PAGES = sorted([
    ROOT / 'README.md', ROOT / 'CONTRIBUTING.md',
    *ROOT.glob('configs/*/README.md'),
    *(p for p in DOCS.rglob('*.md') if '_build' not in p.parts)
])
FENCE = re.compile(
    r'^(?P<indent> *)(?P<mark>```+)(?P<language>[^\n]*)\n(?P<body>.*?)'
    r'^(?P=indent)(?P=mark) *$', re.MULTILINE | re.DOTALL)
LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)')
# arguments of the shell scripts before those of the Python tool
SCRIPTS = {
    'tools/dist_train.sh': ('tools/train.py', [0], 2),
    'tools/dist_test.sh': ('tools/test.py', [0, 1], 3),
    'tools/slurm_train.sh': ('tools/train.py', [2], 3),
    'tools/slurm_test.sh': ('tools/test.py', [2, 3], 4),
    'tools/quickstart.sh': ('tools/quickstart.py', [], 0),
}
# what stands in a page for one of several choices
PLACEHOLDERS = {'FORMAT': 'npz'}
# of which the arguments are those of another program, or none
OTHER_SCRIPTS = [
    'tools/audit.sh', 'tools/build_docs.sh', 'tools/env.sh',
    'tools/run_tests.sh', 'tools/setup_env.sh'
]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def pages(language):
    """Pages that have a fenced block of a language."""
    found = [page for page in PAGES if blocks(page, language)]
    return pytest.mark.parametrize('page', found, ids=name_of)


def blocks(page, language):
    """Bodies of the fenced blocks of a language, without indentation."""
    return [
        textwrap.dedent(match['body'])
        for match in FENCE.finditer(page.read_text('utf-8'))
        if match['language'].strip() == language
    ]


def commands(text):
    """Simple commands of a shell text, as lists of words."""
    found = []
    for line in text.replace('\\\n', ' ').splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=';&|')
        lexer.whitespace_split = True
        words = []
        for word in [*lexer, ';']:
            if not set(word) <= set(';&|'):
                words.append(word)
                continue
            while words and re.match(r'\w+=', words[0]):
                words.pop(0)
            if words:
                found.append(words)
            words = []
    return found


class Refused(Exception):
    pass


@lru_cache(maxsize=None)
def parser_of(tool):
    """The parser that a tool makes, with errors that are exceptions."""
    found = []

    def stop(self, args=None, namespace=None):
        found.append(self)
        raise Refused

    def error(message):
        raise Refused(message)

    spec = importlib.util.spec_from_file_location(
        'docs_' + tool.replace('/', '_').replace('.', '_'), ROOT / tool)
    module = importlib.util.module_from_spec(spec)
    path, real = sys.path.copy(), argparse.ArgumentParser.parse_args
    try:
        # tools import what lies beside them
        sys.path.insert(0, str((ROOT / tool).parent))
        spec.loader.exec_module(module)
        argparse.ArgumentParser.parse_args = stop
        with pytest.raises(Refused):
            module.parse_args()
    finally:
        argparse.ArgumentParser.parse_args = real
        sys.path[:] = path
    found[0].error = error
    return found[0]


def check(tool, words):
    """Parse the arguments of a command; returns what the parser gave."""
    words = [PLACEHOLDERS.get(word, word) for word in words]
    try:
        return parser_of(tool).parse_args(words)
    except Refused as refused:
        raise AssertionError(f'{tool} {shlex.join(words)}: {refused}')


def check_keys(args):
    """Keys of ``--cfg-options`` are settings, or new in a dict that is."""
    config = getattr(args, 'config', None)
    keys = getattr(args, 'cfg_options', None)
    if not keys or not (ROOT / config).is_file():
        return
    nodes = dict(walk(Config.fromfile(ROOT / config)._cfg_dict))
    for key in keys:
        parent = nodes.get(key.rpartition('.')[0])
        assert isinstance(parent, (dict, list)), f'{config} has no {key}'


@pages('bash')
def test_bash(page):
    """It parses, and tools take the arguments of their commands."""
    for body in blocks(page, 'bash'):
        done = subprocess.run(['bash', '-n'],
                              input=body,
                              text=True,
                              capture_output=True)
        assert not done.returncode, f'{body}\n{done.stderr}'
        for words in commands(body):
            for word in words:
                if word.startswith('tools/') and '*' not in word:
                    assert (ROOT / word).exists(), f'{word}: no such file'
            if len(words) < 2 or not words[1].startswith('tools/'):
                continue
            tool, rest = words[1], words[2:]
            if words[0] == 'python':
                check_keys(check(tool, rest))
            elif tool in SCRIPTS:
                assert words[0] == 'bash'
                tool, own, number = SCRIPTS[tool]
                assert len(rest) >= number, shlex.join(words)
                own = [rest[i] for i in own]
                check_keys(check(tool, own + rest[number:]))
            else:
                assert tool in OTHER_SCRIPTS, tool
                assert words[0] in ('bash', 'source', '.')


def test_a_wrong_option_is_found():
    assert commands('export A=b && A=1 C=d python x.py \\\n  "--y z"  # why'
                    '\n. tools/env.sh') == [['export', 'A=b'],
                                            ['python', 'x.py', '--y z'],
                                            ['.', 'tools/env.sh']]
    with pytest.raises(AssertionError, match='no-such-option'):
        check('tools/eval_labels.py', ['a', 'b', '--no-such-option'])
    with pytest.raises(AssertionError, match='required'):
        check('tools/export_labels.py', ['a', 'b'])
    args = check('tools/train.py', [
        'configs/group_wsss/voc.py', '--cfg-options', 'model.nek.num_steps=1'
    ])
    with pytest.raises(AssertionError, match='has no model.nek.num_steps'):
        check_keys(args)


def test_all_scripts_are_known():
    scripts = {name_of(p) for p in (ROOT / 'tools').glob('*.sh')}
    assert scripts == {*SCRIPTS, *OTHER_SCRIPTS}


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_paths_exist(page):
    """Configs and tools named anywhere in the text."""
    text = page.read_text('utf-8')
    for path in re.findall(r'(?<![\w/.-])(?:configs|tools)/[\w./*-]+', text):
        path = path.rstrip('.')
        if re.search(r'\.(py|sh)$', path):
            assert '*' in path and any(ROOT.glob(path)) or (
                ROOT / path).is_file(), f'{path}: no such file'


@pages('python')
def test_python_compiles(page):
    for body in blocks(page, 'python'):
        try:
            ast.parse(body)
        except SyntaxError:
            # arguments of a call, as in a config
            ast.parse(f'dict(\n{body})')


def slug(title):
    """The anchor of a heading, as GitHub and MyST make it."""
    title = re.sub(r'[^\w\- ]', '', title.strip().lower())
    return title.replace(' ', '-')


def anchors(page):
    text = FENCE.sub('', page.read_text('utf-8'))
    return {slug(t) for t in re.findall(r'^#+ +(.*)$', text, re.MULTILINE)}


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_links(page):
    text = re.sub(r'`[^`\n]*`', '', FENCE.sub('', page.read_text('utf-8')))
    for link in LINK.findall(text):
        if re.match(r'(https?|mailto):', link):
            continue
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f'{link}: no such file'
        if anchor and target.suffix == '.md':
            assert anchor in anchors(target), f'{link}: no such heading'


def test_all_complaints_are_answered():
    text = (DOCS / 'faq.md').read_text('utf-8')
    parts = re.split(r'^## (\d+)\. .*$', text, flags=re.MULTILINE)[1:]
    assert [int(n) for n in parts[::2]] == list(range(1, 16))
    for number, part in zip(parts[::2], parts[1::2]):
        assert re.search(r'```bash\n(.*\n)*?.*(python|bash) tools/',
                         part), (f'no command in answer {number}')


def test_all_rooms_have_a_page():
    package = ROOT / 'projects' / 'group_wsss'
    index = (DOCS / 'api' / 'index.md').read_text('utf-8')
    for init in package.glob('*/__init__.py'):
        room = init.parent.name
        assert re.search(f'^{room}$', index, re.MULTILINE)
        page = (DOCS / 'api' / f'{room}.md').read_text('utf-8')
        assert f'.. autoapimodule:: group_wsss.{room}\n' in page


def test_pages_are_in_the_contents():
    """Every page is in a toctree; Sphinx says so too, if it is there."""
    listed = set()
    for page in DOCS.rglob('*.md'):
        for body in blocks(page, '{toctree}'):
            listed |= {(page.parent / f'{line.strip()}.md').resolve()
                       for line in body.splitlines()
                       if line.strip() and not line.startswith(':')}
    assert listed == {p
                      for p in PAGES
                      if DOCS in p.parents} - {DOCS / 'index.md'}


@pytest.fixture
def how_to(tmp_path, monkeypatch):
    """Write the named blocks of a page as files, run the others.

    A block that begins with ``# NAME.py`` is that file; configs find those
    of the checkout.
    """

    def run(page):
        monkeypatch.syspath_prepend(tmp_path)
        for body in blocks(DOCS / page, 'python'):
            first, _, rest = body.partition('\n')
            if re.fullmatch(r'# \w+\.py', first):
                rest = rest.replace("_base_ = 'configs/",
                                    f"_base_ = '{ROOT}/configs/")
                assert len(rest.splitlines()) <= 30
                (tmp_path / first[2:]).write_text(rest)
            else:
                exec(compile(body, page, 'exec'), {})
        return tmp_path

    imported = set(sys.modules)
    yield run
    for name in set(sys.modules) - imported:
        origin = getattr(sys.modules[name], '__file__', None)
        if origin and Path(origin).parent == tmp_path:
            del sys.modules[name]
    for registry in (registries.MODELS, registries.TASK_UTILS):
        for name in ('LargestPart', 'ThreeConvs'):
            registry._module_dict.pop(name, None)


@pytest.fixture
def label_of(tmp_path, call_tool):
    """Refine a folder of score maps by a config; a label image."""

    def do(config, img_id):
        call_tool('refine_labels', config, tmp_path / 'dump', tmp_path / 'new',
                  '--classes', 'voc')
        return read_index_png(str(tmp_path / f'new/{img_id}.png'))

    return do


def test_how_to_add_a_refiner(how_to, tmp_path, label_of):
    how_to('howto/add_a_refiner.md')
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, :4], maps[0, 7, 7] = 0.9, 0.8
    ScoreMap('a', (8, 8), [3], maps).save(str(tmp_path / 'dump/a.npz'))
    label = label_of(tmp_path / 'largest_part_labels.py', 'a')
    assert (label[:4] == 4).all() and not label[4:].any()


def test_migration_of_class_maps(tmp_path, label_of):
    body, = blocks(DOCS / 'migration.md', 'python')
    names = {}
    exec(compile(body, 'migration.md', 'exec'), names)
    maps = np.zeros((2, 5, 5), np.float32)
    # as IRN does, a little above 1 and below 0 is possible
    maps[0, 0], maps[1, 4], maps[1, 2] = 0.6, 1.001, -0.1
    path = str(tmp_path / 'dump/b.npz')
    (tmp_path / 'dump').mkdir()
    names['save_scores'](path, 'b', (10, 10), torch.tensor([7, 2]),
                         torch.from_numpy(maps))
    score_map = ScoreMap.load(path)
    assert score_map.class_ids.tolist() == [2, 7]
    assert score_map.maps.max() == 1 and score_map.ori_shape == (10, 10)
    label = label_of(ROOT / 'configs/refine/threshold.py', 'b')
    assert label[0].tolist() == [8] * 10 and label[-1].tolist() == [3] * 10


@pytest.mark.parametrize('name, channels, stride', [
    ('resnet18_toy', 512, 32),
    ('three_convs_toy', 64, 8),
    ('frozen_toy', 512, 32),
])
def test_how_to_add_a_backbone(how_to, name, channels, stride):
    folder = how_to('howto/add_a_backbone.md')
    cfg = Config.fromfile(folder / f'{name}.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    assert model.head.in_channels == channels
    maps, group_maps = model.eval()(torch.rand(2, 3, 64, 96))
    assert maps.shape == (2, 6, 64 // stride, 96 // stride)
    assert group_maps is maps  # groups of one
    frozen = not any(p.requires_grad for p in model.backbone.parameters())
    assert frozen == (name == 'frozen_toy')


def test_figures_are_well_formed():
    import xml.etree.ElementTree as ElementTree
    for figure in (DOCS / 'images').glob('*.svg'):
        root = ElementTree.parse(figure).getroot()
        assert root.tag == '{http://www.w3.org/2000/svg}svg'
        assert root.get('role') == 'img' and root.get('aria-label')


def test_build_needs_sphinx(tmp_path, start):
    """One line if Sphinx is missing, and nothing is written."""
    (tmp_path / 'python').write_text('#!/bin/sh\nexit 1\n')
    (tmp_path / 'python').chmod(0o755)
    build = ['bash', ROOT / 'tools/build_docs.sh', tmp_path / 'html']
    done = start(*build, cwd=ROOT, PATH=f'{tmp_path}:{os.environ["PATH"]}')
    assert done.returncode == 2
    assert 'requirements/docs.txt' in done.stderr
    assert not (tmp_path / 'html').exists()


@pytest.mark.slow
def test_build(tmp_path, start):
    """Sphinx builds all pages without a warning."""
    for module in ('sphinx', 'furo', 'myst_parser', 'autoapi',
                   'sphinx_copybutton'):
        pytest.importorskip(
            module, reason='pip install -r requirements/docs.txt')
    build = ['bash', ROOT / 'tools/build_docs.sh', tmp_path / 'html']
    done = start(*build, '-q', '-d', tmp_path / 'cache', cwd=ROOT)
    assert not done.returncode, done.stderr
    page = (tmp_path / 'html' / 'api' / 'models.html').read_text('utf-8')
    assert 'group_wsss.models.GroupCAM' in page
