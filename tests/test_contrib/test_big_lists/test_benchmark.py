# Copyright (c) group_wsss contributors. All rights reserved.
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from group_wsss.utils.errors import InputError

PATH = Path(__file__).parents[3] / 'benchmarks' / 'big_lists.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('big_lists', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sizes(tool):
    assert tool.parse_size('82783x80') == (82783, 80)
    for text in ('0x5', '10', '10x', 'ax5', '5x0', '-5x5', '5x5x5'):
        with pytest.raises(InputError, match='IMAGESxCLASSES'):
            tool.parse_size(text)


@pytest.mark.slow
def test_row_and_table(tool):
    lengths, classes = tool.zipf_labels(3000, 20, seed=0)
    row = tool.measure(lengths, classes, 20, seed=0)
    json.dumps(row)
    assert row['images'] == 3000 and row['pairs'] == len(classes)
    sets = {
        ids.tobytes()
        for ids in np.split(classes,
                            np.cumsum(lengths)[:-1])
    }
    assert row['sets'] == len(sets)
    assert row['bytes_per_pair'] == pytest.approx(
        row['bytes'] / row['pairs'], abs=.01)
    assert row['resume_steps'] == 3 * 3000 // 16
    text = tool.table([row, dict(row, read_s=None)]).splitlines()
    assert len(text) == 4 and len({line.count('|') for line in text}) == 1
    assert text[2].startswith('| 3,000 | 20 |') and text[3].endswith('| - |')
