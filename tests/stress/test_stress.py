# Copyright (c) group_wsss contributors. All rights reserved.
"""The long runs of this folder, a part of each: ``pytest -m stress``."""
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# slow as well, so that `-m "not slow"` leaves them out
pytestmark = [pytest.mark.slow, pytest.mark.stress]


@pytest.mark.parametrize('script, args', [
    ('fuzz_readers', ['--cases', '2000', '--out', 'fuzz.json']),
    ('interruptions', ['--only', 'toy', '--work-dir', 'work']),
])
def test_script(script, args, tmp_path, start):
    done = start(sys.executable, HERE / f'{script}.py', *args, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
