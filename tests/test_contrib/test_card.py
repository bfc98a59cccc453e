# Copyright (c) group_wsss contributors. All rights reserved.
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from group_wsss.contrib.card import (FIGURES, Run, card_page, figures_of,
                                     find_run, make_card)
from group_wsss.contrib.card.page import _run_facts
from group_wsss.contrib.card.runs import read_evaluation
from group_wsss.evaluation import confusion_matrix
from group_wsss.structures import DumpWriter, encode_index_png
from group_wsss.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ('cat', '<b>dog</b>')
IDS = [f'{i}' for i in range(4)]
PLAIN, GROUPS = 'group_size = 1\ntest_group_size = 1\n', (
    'group_size = 4\nsettled = dict(group_size=7)\ntest_group_size = 64\n')


def write_dump(folder, labels, ids=IDS, **more):
    writer = DumpWriter(str(folder), CLASSES)
    for img_id, label in zip(ids, labels):
        writer.write(img_id, label)
    writer.finish(**more)


def write_marker(run, name, number, **more):
    (run / 'stages').mkdir(exist_ok=True)
    (run / 'stages' / f'{name}.json').write_text(
        json.dumps(dict(number=number, done=True, **more)))


@pytest.fixture
def data(tmp_path):
    """Masks; `recipe` of two label steps and a network; `plain`."""
    rng = np.random.default_rng(0)
    masks = rng.choice(3, (4, 20, 24)).astype(np.uint8)
    masks[:, 0] = 255
    (tmp_path / 'masks').mkdir()
    for img_id, mask in zip(IDS, masks):
        (tmp_path / f'masks/{img_id}.png').write_bytes(encode_index_png(mask))

    def spoilt(share):
        labels = np.where(masks == 255, 0, masks)
        wrong = rng.random(masks.shape) < share
        return np.where(wrong, rng.choice([0, 1, 2, 255], masks.shape),
                        labels).astype(np.uint8)

    for seed, shares in ((0, (.5, .2)), (1, (.6, .1))):
        run = tmp_path / f'recipe{seed}'
        first, second = map(spoilt, shares)
        write_dump(
            run / 'walk' / 'pseudo_labels', first, seed=seed, config=GROUPS)
        # the later step comes first in the alphabet
        write_dump(run / 'labels', second, seed=seed, supervision='IS')
        log = run / 'segmentor' / 'x' / 'vis_data'
        log.mkdir(parents=True)
        (log / 'scalars.json').write_text('{"mIoU": 3.0, "memory": 700}\n'
                                          f'{{"mIoU": {40 + seed}.5}}\n{{"mI')
        for number, name in enumerate(('walk', 'labels', 'segmentor'), 1):
            write_marker(
                run,
                name,
                number,
                seconds=60.0 * number,
                commits=['abc'],
                peak_memory_mb=100 * number,
                lists={'a/tags.txt': 'f' * 64})
    write_dump(tmp_path / 'plain', spoilt(.9), seed=0, config=PLAIN)
    return SimpleNamespace(root=tmp_path, masks=masks)


@pytest.fixture
def card_of(data, call_tool):

    def run(*words):
        out = data.root / 'card'
        call_tool('result_card', *words, '--out', out)
        return json.loads((out / 'card.json').read_text())

    return run


def test_figures_are_those_of_a_plain_loop():
    rng = np.random.default_rng(1)
    mask = rng.choice([0, 1, 2, 255], (9, 9)).astype(np.uint8)
    label = rng.choice([0, 1, 2, 255], (9, 9)).astype(np.uint8)
    rows = {key: [] for key in FIGURES}
    counted = labelled = 0
    for c in range(3):
        tp = fp = fn = skipped = 0
        for m, p in zip(mask.ravel().tolist(), label.ravel().tolist()):
            if m == 255:
                continue
            tp += m == p == c
            fp += p == c != m
            fn += m == c != p
            skipped += m == c and p == 255
            counted += c == 0
            labelled += c == 0 and p != 255
        rows['mIoU'].append(100 * tp / (tp + fp + fn))
        rows['mIoU_known'].append(100 * tp / (tp + fp + fn - skipped))
        rows['precision'].append(100 * tp / (tp + fp))
        rows['recall'].append(100 * tp / (tp + fn))
        rows['confusion_ratio'].append(fp / tp)
    wanted = {key: sum(v) / 3 for key, v in rows.items() if v}
    wanted.update(coverage=100 * labelled / counted, boundary_mIoU=None)
    found = figures_of(confusion_matrix(label, mask, 3).tolist())
    assert found == pytest.approx(wanted)
    # no hit, no label and no mask of the third class
    none = figures_of([[0, 4, 0, 0], [0, 0, 0, 4], [0, 0, 0, 0]])
    assert none['mIoU'] == 0 and none['coverage'] == 50
    assert none['confusion_ratio'] is None


def test_card(data, card_of, capsys):
    root = data.root
    card = card_of(root / 'recipe0', f'recipe0={root}/recipe1',
                   f'K=1={root}/plain', '--masks', root / 'masks')
    rows = {(row['run'], row['step']): row for row in card['rows']}
    assert list(rows) == [('recipe0', 'walk'), ('recipe0', 'labels'),
                          ('K=1', 'labels'), ('recipe0', 'segmentor')]
    walk, labels, plain, network = rows.values()
    assert [result['seed'] for result in labels['results']] == [0, 1]
    values = [result['mIoU'] for result in labels['results']]
    found = [labels[word]['mIoU'] for word in ('mean', 'lowest', 'highest')]
    assert found == [pytest.approx(sum(values) / 2), min(values), max(values)]
    assert labels['times_plain'] == pytest.approx(labels['mean']['mIoU'] /
                                                  plain['mean']['mIoU'])
    assert plain['mean']['mIoU'] < walk['mean']['mIoU'] < found[0] < 100
    assert None not in [labels['mean'][key] for key in FIGURES]
    # of the log of a network nothing but its mIoU is known
    assert network['mean'] == dict(dict.fromkeys(FIGURES), mIoU=41)
    assert network['times_plain'] is None
    lines = [
        hashlib.sha256((root / f'masks/{i}.png').read_bytes()).hexdigest() +
        f'  {i}.png\n' for i in IDS
    ]
    for key, text in (('masks', ''.join(lines)), ('ids', '0\n1\n2\n3\n')):
        assert card['judged'][f'{key}_sha256'] == hashlib.sha256(
            text.encode()).hexdigest()
    assert '5.0 % of the mask pixels' in card['judged']['notes'][0]
    first, second, other = card['runs']
    wanted = dict(
        seconds=dict(walk=60, labels=120, segmentor=180),
        group_size=4,
        test_group_size=64,
        supervision=['I', 'S'],
        peak_memory_mb=300,
        gpu_memory_mb=700,
        commits=['abc'],
        lists={'a/tags.txt': 'f' * 64})
    assert wanted.items() <= first.items()
    assert {key
            for key, value in other.items() if value is None} == {
                'seconds', 'peak_memory_mb', 'commits', 'lists',
                'gpu_memory_mb'
            }
    assert str(root) not in json.dumps(card)
    assert 'recipe0      labels         labels' in capsys.readouterr().out


def test_progress_is_that_of_all_dumps(data):
    told = []
    run = find_run(str(data.root / 'recipe0'))
    make_card([run],
              masks=str(data.root / 'masks'),
              progress=lambda *numbers: told.append(numbers))
    assert told == sorted(told) and told[-1] == (8, 8) and told[0][0] == 4


def test_networks_are_compared_at_the_same_step():
    runs = [
        Run(name, '', {}, networks, dict(seed=0, test_group_size=size))
        for name, size, networks in (('a', 4, dict(one=50., two=60.)),
                                     ('K=1', 1, dict(one=40., two=20.)))
    ]
    rows = make_card(runs)['rows']
    assert [row['times_plain'] for row in rows] == [1.25, 3, 1, 1]


def test_nothing_is_guessed(data, card_of):
    """Without masks, with a stage that does not know its memory."""
    root = data.root
    write_marker(root / 'recipe0', 'walk', 1, seconds=60.0)
    card = card_of(f'one={root}/recipe0')
    assert card['judged'] is None
    assert set(card['rows'][0]['mean'].values()) == {None}
    assert card['runs'][0]['peak_memory_mb'] is None
    facts = _run_facts(card['runs'][0])
    assert facts['Memory of the largest process'] == 'not measured'
    assert facts['Commit'] == 'abc' and facts['Time'].startswith('6 min (')


def test_list_and_evaluation(data, card_of, call_tool):
    root = data.root
    (root / 'two.txt').write_text('1\n3\n')
    call_tool('eval_labels', root / 'plain', root / 'masks', '--out',
              root / 'seen.json')
    card = card_of(root / 'plain', f'net={root}/seen.json', '--masks',
                   root / 'masks', '--judge', root / 'two.txt')
    assert card['judged']['images'] == 2
    labels, network = card['rows']
    known = json.loads((root / 'seen.json').read_text())
    assert network['kind'] == 'segmentation' and network['run'] == 'net'
    assert network['mean']['mIoU'] == pytest.approx(known['mIoU'])
    assert network['mean']['boundary_mIoU'] is None
    assert labels['mean']['mIoU'] != network['mean']['mIoU']


def test_page(data, card_of):
    root = data.root
    card = card_of(f'<i>={root}/recipe0', f'<i>={root}/recipe1', '--masks',
                   root / 'masks')
    page = card_page(card).decode()
    assert (root / 'card/card.html').read_bytes() == page.encode()
    # names are text, nothing is loaded
    assert not re.search('<(i|b|script)[ >]| src=', page)
    assert re.findall(' href="?([^" >]*)', page) == ['data:,']
    cells = re.findall('<(?:td|th|dd)[^>]*>([^<]*)</', page)
    assert '&lt;i&gt;' in cells
    mean, low, high = (
        card['rows'][1][word]['mIoU']
        for word in ('mean', 'lowest', 'highest'))
    assert f'{mean:.2f} ({low:.2f} to {high:.2f})' in cells
    # six figures and the ratio of the network; the ratios of two steps
    assert cells.count('not measured') == 9


@pytest.mark.parametrize('words, error', [
    (['{}/no'], 'no: no such folder'),
    (['{}/masks'], 'masks: holds no finished dump'),
    (['a={}/recipe0', 'a={}/recipe0'], 'a has seed 0 already'),
    (['{}/recipe0', '{}/other', '--masks', '{}/masks'],
     'other: has other images or classes than .*walk/pseudo_labels; --judge'),
    (['{}/other', '--masks', '{}/masks'], r'4\.png: No such file'),
    (['{}/recipe0/stages/walk.json'], 'walk.json: holds no evaluation'),
    (['{}/no.json'], 'no.json: no such file'),
    (['{}/bad'], 'seed.json: not JSON'),
])
def test_wrong_input(words, error, data, call_tool, capsys):
    root = data.root
    write_dump(root / 'other', [data.masks[0]] * 2, ['3', '4'], seed=2)
    (root / 'bad' / 'stages').mkdir(parents=True)
    (root / 'bad' / 'stages' / 'seed.json').write_text('{')
    with pytest.raises(SystemExit) as end:
        call_tool('result_card', *(word.format(root) for word in words),
                  '--out', root / 'out')
    assert end.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert re.search(error, lines[-1])
    assert not (root / 'out').exists()


def test_recipe(data, call_tool, monkeypatch):
    """The one command: groups and K = 1 by make_labels.py, then the card."""
    commands = []

    def run(command, **more):
        if 'git' in command[0]:
            return SimpleNamespace(stdout='abc\n')
        commands.append(command[1:])
        folder = Path(command[command.index('--work-dir') + 1])
        config = PLAIN if '--until' in command else GROUPS
        write_dump(
            folder, data.masks, seed=int(command[command.index('--seed') + 1]),
            config=config)  # yapf: disable
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, 'run', run)
    root = data.root
    recipe = ROOT / 'configs/recipes/effnet-lite0_voc-layout_saliency.py'
    call_tool('result_card', '--recipe', recipe, '--seeds', 0, 1, '--work-dir',
              root / 'w', '--masks', root / 'masks', '--out', root / 'card',
              '--', '--cfg-options', 'a.b=1', 'c=2', '--data', 'photos')
    assert len(commands) == 4
    tool = str(ROOT / 'tools' / 'make_labels.py')
    # the classifier is the second stage of this recipe
    assert commands[2] == [
        tool,
        str(recipe), '--work-dir', f'{root}/w/K=1_seed1', '--seed', '1',
        '--cfg-options', 'a.b=1', 'c=2', '--data', 'photos', '--until',
        'classifier', '--cfg-options', 'stages.2.options.group_size=1',
        'stages.2.options.test_group_size=1'
    ]
    assert commands[3] == [
        tool,
        str(recipe), '--work-dir', f'{root}/w/groups_seed1', '--seed', '1',
        '--cfg-options', 'a.b=1', 'c=2', '--data', 'photos'
    ]
    card = json.loads((root / 'card/card.json').read_text())
    assert [(row['run'], row['group_size'], row['times_plain'])
            for row in card['rows']] == [('K=1', 1, 1.0), ('groups', 64, 1.0)]
    by = card['written_by']
    assert by['commit'].startswith('abc') and by['recipe'] == recipe.name
    assert by['options'] == 'a.b=1 c=2'
    page = card_page(card).decode()
    assert f'recipe {recipe.name}, options a.b=1 c=2.' in page


def test_what_a_stage_remembers(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools' / 'misc'))
    from stage_facts import commit_of
    from stage_progress import StageProgress
    from stages import Stage, run_stage
    (tmp_path / 'tags.txt').write_text('a 1\n')
    (tmp_path / 'config.py').write_text('')
    stage = Stage(
        'one',
        'a stage', [
            sys.executable, '-c', 'import pathlib, sys; '
            'pathlib.Path(sys.argv[1]).mkdir(); x = bytes(90 << 20)',
            str(tmp_path / 'one')
        ], {}, [],
        folder=tmp_path / 'one',
        files=[str(tmp_path / 'tags.txt'),
               str(tmp_path / 'config.py')])
    progress = StageProgress(1, ['one'], [None], {})
    record = run_stage(stage, str(tmp_path), {}, progress)
    assert record['number'] == 1 and record['peak_memory_mb'] > 90
    assert record['lists'] == {
        f'{tmp_path.name}/tags.txt': hashlib.sha256(b'a 1\n').hexdigest()
    }
    commit = commit_of(ROOT)
    assert record['commits'] == ([commit] if commit else [])
    write_dump(tmp_path / 'one', np.zeros((4, 2, 2), np.uint8))
    facts = find_run(str(tmp_path)).facts
    assert facts['lists'] == record['lists']
    assert facts['peak_memory_mb'] == record['peak_memory_mb']


def test_commit(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools' / 'misc'))
    from stage_facts import commit_of
    assert commit_of(tmp_path) is None
    who = ['-c', 'user.name=x', '-c', 'user.email=x']
    (tmp_path / 'configs').mkdir()
    (tmp_path / 'configs/a.py').write_text('')
    for words in (['init', '-q'], ['add', '.'], ['commit', '-qm', 'x']):
        subprocess.run(['git', *who, *words], cwd=tmp_path, check=True)
    clean = commit_of(tmp_path)
    assert len(clean) == 12 and not clean.endswith('+')
    (tmp_path / 'notes.txt').write_text('')
    assert commit_of(tmp_path) == clean
    (tmp_path / 'configs/a.py').write_text('x = 1')
    assert commit_of(tmp_path) == f'{clean}+'


def test_read_evaluation_of_analysis(tmp_path):
    path = tmp_path / 'analysis.json'
    rows = [[1, 0, 0], [0, 1, 0]]
    path.write_text(
        json.dumps(dict(errors=dict(confusion=rows, boundary_mIoU=50.0))))
    assert read_evaluation(str(path)) == (rows, 50.0)
    path.write_text(json.dumps(dict(confusion=[[1, 0], [0, 1]])))
    with pytest.raises(InputError, match='holds no evaluation'):
        read_evaluation(str(path))
