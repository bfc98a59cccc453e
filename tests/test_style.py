# Copyright (c) group_wsss contributors. All rights reserved.
"""Formatters and the type checker, with the settings of the repository."""
import sys
from pathlib import Path

import pytest

from group_wsss.utils.launch import torch_is_at_least

ROOT = Path(__file__).resolve().parents[1]
TREES = ['projects', 'tools', 'configs', 'benchmarks', 'tests', 'setup.py']
pytestmark = pytest.mark.slow


@pytest.mark.parametrize('words', [
    ['flake8', *TREES],
    ['isort', '--check-only', '--quiet', *TREES],
    ['yapf', '--diff', '--recursive', '--parallel', 'projects', 'tools'],
    ['mypy'],
], ids=lambda words: words[0])  # yapf: disable
def test_checks(words, start):
    """Nothing to mend; what there is stands in the message."""
    pytest.importorskip(words[0])
    if words == ['mypy'] and not torch_is_at_least('2.3'):
        pytest.skip('types of another torch and NumPy')
    done = start(sys.executable, '-m', *words, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
