# Copyright (c) group_wsss contributors. All rights reserved.
import argparse
import importlib
import json
from pathlib import Path

import pytest
import torch

from group_wsss.utils.errors import InputError

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / 'benchmarks'
ARGS = argparse.Namespace(
    seed=0, device='cpu', repeats=1, data=str(ROOT), full=False)


@pytest.fixture(autouse=True)
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_pairs_take_turns():
    from speed_common import fitted_exponent, paired, ratio, seconds
    order = []
    times = paired(
        dict(a=lambda: order.append('a'), b=lambda: order.append('b')), 3)
    assert order == ['a', 'b'] * 4
    assert len(times['a']['time']) == len(times['b']['wall']) == 3
    one, two = dict(time=[1., 2., 9.]), dict(time=[2., 1., 3.])
    assert seconds(one) == 2 and ratio(one, two) == 2
    assert fitted_exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)


def test_peak_bytes():
    from speed_common import peak_bytes

    def call():
        first = torch.zeros(1000, 1000)
        second = first + 1
        del first
        torch.zeros(2000, 1000)
        return second

    # 4 + 8 million bytes at once, 16 in total
    assert peak_bytes(call) == 12_000_000


def test_table_and_page(tmp_path):
    from speed_common import environment, markdown, save, update_page
    path = str(tmp_path / 'out' / 'speed_x.json')
    with pytest.raises(InputError, match='speed_x.json: not measured'):
        markdown(path)
    rows = [
        dict(case='a', ratio=1.23456, times=[1]),
        dict(case='b', rate=123456.7, ratio=None)
    ]
    save(path, environment(ARGS), rows)
    assert set(json.loads(Path(path).read_text())['environment']) >= {
        'commit', 'seed', 'versions', 'load', 'threads', 'processor'
    }
    text = markdown(path)
    assert text.startswith('| case | ratio | rate |\n| -- | -- | -- |\n'
                           '| a | 1.23 | - |\n| b | - | 123,457 |')
    page = tmp_path / 'page.md'
    page.write_text('x\n<!-- speed_x -->\nold\n<!-- end -->\n'
                    '<!-- speed_y -->\nother\n<!-- end -->\n')
    update_page(str(page), 'x', text)
    update_page(str(page), 'x', text)
    assert page.read_text() == (
        f'x\n<!-- speed_x -->\n\n{text}\n\n<!-- end -->\n'
        '<!-- speed_y -->\nother\n<!-- end -->\n')
    with pytest.raises(InputError, match='no place for the table z'):
        update_page(str(page), 'z', text)


def test_every_table_has_a_place():
    from speed import TABLES
    page = (ROOT / 'docs' / 'performance.md').read_text()
    for table, module in TABLES.items():
        assert f'<!-- speed_{table} -->' in page
        module = importlib.import_module(module)
        assert module.REPEATS > 0 and callable(module.measure)


PLAIN = dict(
    update='gru',
    coattention=dict(key='learned', softmax='sender'),
    dropout=dict(type='group_wsss.GraphDropout'))


@pytest.mark.slow
def test_small_cases(monkeypatch):
    """Every table that needs no data, at a size without meaning."""
    import speed_cost
    import speed_dump
    import speed_graph
    import speed_step
    build = speed_step.build

    def small(name, **neck):
        return build(name, **{**PLAIN, **neck})

    monkeypatch.setattr(speed_step, 'build', small)
    row = speed_graph.measure_case('logit', 3, 6, 1, ARGS)
    assert row['times faster'] > 0 and row['peak_bytes']['peer'] > 0
    # large cases run once, and the peer's matrices may not fit
    monkeypatch.setattr(speed_graph, 'SMALL', 0)
    monkeypatch.setattr(speed_graph, 'PEER_LIMIT', 0)
    row = speed_graph.measure_case('logit', 3, 6, 1, ARGS)
    assert row['times faster'] is None and 'peer' not in row['times']
    monkeypatch.setattr(speed_cost, 'SIDE', 4)
    row = speed_cost.measure_row('logit', speed_graph.NODES['logit'], None,
                                 ARGS)
    assert 0 < row['memory ~ (K-1)^'] < 1.2
    row = speed_step.measure_row('small', 'group_cam_tiny', 48, 4, ARGS)
    assert set(row['peak_bytes']) == {'K=1', 'K=4', 'contrast', 'paper'}
    assert row["memory, the paper's graph"] > 1
    rows = speed_dump.measure(ARGS, 2)
    assert rows[0]['ours is faster by'] == 1


@pytest.mark.parametrize('table, message', [
    ('loading', 'JPEG files'),
    ('draws', 'no such list; set --data'),
    ('epoch', 'no such folder; set --data'),
])
def test_what_is_missing(table, message):
    with pytest.raises(InputError, match=message):
        importlib.import_module(f'speed_{table}').measure(ARGS)


def test_draws(tmp_path):
    import speed_draws

    # small label sets: redrawing until they are equal takes many tries
    lines = [
        f'image_{i} {i % 4} {4 + i // 4 % 16}'
        for i in range(speed_draws.ANCHORS)
    ]
    (tmp_path / 'voc2012_train_aug_cls.txt').write_text('\n'.join(lines))
    args = argparse.Namespace(**{**vars(ARGS), 'data': str(tmp_path)})
    rows = speed_draws.measure(args)
    assert rows[0]['times faster'] == 1 < rows[1]['times faster']


def test_startup(monkeypatch):
    import speed_startup
    monkeypatch.setattr(speed_startup, 'CASES', {
        'import mmseg': 'pass',
        'other': 'import PIL'
    })
    rows = speed_startup.measure(ARGS)
    assert [row['heavy packages in memory'] for row in rows] == ['none', 'PIL']


def test_sides_of_an_epoch(monkeypatch, data_root, tmp_path):
    """Same anchors, same number of images."""
    import speed_epoch
    monkeypatch.setattr(speed_epoch, 'ANCHORS', 2)
    monkeypatch.setattr(speed_epoch, 'GROUPS_A_BATCH', 2)
    monkeypatch.setattr(speed_epoch, 'SIDE', 64)
    seen = []
    monkeypatch.setattr(
        speed_epoch, 'paired', lambda calls, repeats: {
            name: seen.append(call) or call() or dict(time=[1.], wall=[1.])
            for name, call in calls.items()
        })
    args = argparse.Namespace(**{**vars(ARGS), 'data': str(data_root.parent)})
    real = speed_epoch.build
    monkeypatch.setattr(speed_epoch, 'build',
                        lambda name, cached: real('group_cam_tiny', cached))
    rows = speed_epoch.measure(args)
    # three ways of ours and the peer; a frozen backbone has one way
    assert len(rows) == 3 and len(seen) == 3 + 3 + 2
    assert rows[0]['in bfloat16'] == 1
    assert rows[2]['in bfloat16'] is None
    assert len(seen[0].maps) == 2
