# Copyright (c) group_wsss contributors. All rights reserved.
import csv
import importlib
import logging
from types import SimpleNamespace

import pytest
import torch
from mmpretrain.structures import DataSample

from group_wsss.contrib.noisy_tags import TagDoubts
from group_wsss.contrib.noisy_tags.tag_doubts import rank_doubts
from group_wsss.utils.errors import InputError


def sample(img_id, tags, peaks, scores):
    found = DataSample()
    found.set_metainfo(dict(img_id=img_id))
    found.set_gt_label(tags).set_pred_score(torch.tensor(scores))
    found.class_ids = torch.tensor(tags, dtype=torch.int64)
    found.class_maps = torch.tensor(peaks)[:, None, None] * torch.rand(
        len(tags), 2, 2).clamp(max=0.9)
    found.class_maps[:, 1, 0] = torch.tensor(peaks)
    return found


def test_doubts_are_ranked(tmp_path, caplog):
    dataset = SimpleNamespace(metainfo=dict(classes=('cat', 'dog', 'cow')))
    runner = SimpleNamespace(
        work_dir=str(tmp_path),
        logger=logging.getLogger('doubts'),
        test_loop=SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset)))
    hook = TagDoubts()
    hook.before_test(runner)
    with caplog.at_level(logging.INFO, 'doubts'):
        hook.after_test_iter(runner, 0, None,
                             [sample('b', [0, 2], [3., .5], [.9, .7, .2])])
        hook.after_test_iter(runner, 1, None,
                             [sample('a', [1], [.5], [.1, .8, .6])])
        hook.after_test(runner)
    with open(tmp_path / 'tag_doubts.csv', newline='') as file:
        rows = [list(row.values()) for row in csv.DictReader(file)]
    assert rows == [['missing?', '1', 'b', 'dog', '0.7000'],
                    ['missing?', '2', 'a', 'cow', '0.6000'],
                    ['missing?', '3', 'a', 'cat', '0.1000'],
                    ['wrong?', '1', 'a', 'dog', '0.5000'],
                    ['wrong?', '2', 'b', 'cow', '0.5000'],
                    ['wrong?', '3', 'b', 'cat', '3.0000']]
    assert 'missing? dog 0.7000: b' in caplog.text
    wrong, missing = rank_doubts(hook.found)
    assert len(missing) == len(wrong) == 3
    with pytest.raises(InputError, match='TagDoubts needs tags'):
        hook.after_test_iter(runner, 0, None, [DataSample()])


def test_benchmark_judges_findings(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend('benchmarks')
    bench = importlib.import_module('noisy_tags')
    tags = {f'i{n}': set(range(n % 3 + 1)) for n in range(60)}
    total = sum(map(len, tags.values()))
    for kind in bench.KINDS:
        noisy = bench.make_noise(tags, kind, 0.3)
        changed = [(i, c) for i in tags for c in tags[i] ^ noisy[i]]
        assert len(changed) == round(0.3 * total) and all(noisy.values())
        assert all((c in tags[i]) == (kind == 'dropped') for i, c in changed)
        mark = bench.KINDS[kind]
        right = [(mark, i, bench.VOC_CLASSES[c]) for i, c in changed]
        same = [(mark, 'i0', bench.VOC_CLASSES[19])] * 20
        if kind == 'added':  # i0 may have been given any class but the first
            same = [(mark, 'i0', bench.VOC_CLASSES[0])] * 20
            right = [r for r in right if r[1:] != same[0][1:]]
        path = tmp_path / 'doubts.csv'
        with open(path, 'w', newline='') as file:
            table = csv.writer(file)
            table.writerow(('kind', 'id', 'class'))
            table.writerows(right[:20] + same + right[20:])
        found = bench.judge(str(path), tags, noisy, kind)
        count = len(changed)
        assert found == dict(
            changed=count,
            found=round(100 * (count - 20) / count, 1)
            if count > 40 else round(100 * 20 / count, 1),
            first_50=100 * (20 + max(0, min(len(right) - 20, 10))) / 50,
            recall=round(100 * 20 / count, 1))
