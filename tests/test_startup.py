# Copyright (c) group_wsss contributors. All rights reserved.
"""Tools that read and write files answer before torch could be imported."""
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / 'tools'
LOOK = ('import runpy, sys\n'
        'for path in sys.argv[1:]:\n'
        '    runpy.run_path(path, run_name="tool")\n'
        '    heavy = {"torch", "scipy", "mmseg"} & set(sys.modules)\n'
        '    assert not heavy, (path, heavy)\n')


@pytest.mark.slow
def test_no_torch_before_it_is_needed():
    tools = [
        *sorted((TOOLS / 'dataset_converters').glob('from_*.py')),
        *(TOOLS / f'{name}.py'
          for name in ('analyze_labels', 'demo', 'eval_labels',
                       'export_labels', 'make_labels', 'predict',
                       'refine_labels', 'report', 'result_card', 'test',
                       'train'))
    ]
    assert len(tools) > 14
    done = subprocess.run([sys.executable, '-c', LOOK, *map(str, tools)],
                          capture_output=True,
                          text=True)
    assert not done.returncode, done.stderr
