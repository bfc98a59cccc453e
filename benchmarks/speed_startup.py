# Copyright (c) group_wsss contributors. All rights reserved.
"""Start-up of a process that imports group_wsss, against one with mmseg."""
import argparse
import os
import os.path as osp
import resource
import subprocess
import sys
import time
from typing import Dict, List

from results import ROOT
from speed_common import ratio, seconds

REPEATS = 9
CONFIG = osp.join(ROOT, 'configs', 'group_wsss', 'voc.py')
CASES: Dict[str, str] = {
    'nothing':
    'pass',
    'import mmseg':
    'import mmseg',
    'import group_wsss':
    'import group_wsss',
    'import mmengine.config':
    'from mmengine.config import Config',
    'import group_wsss and build a config':
    ('import group_wsss; from mmengine.config import Config; '
     f'Config.fromfile({CONFIG!r})'),
}
# a tool ends by SystemExit
TOOLS = ('dataset_converters/from_csv.py', 'eval_labels.py')
CASES.update({
    f'tools/{name} --help':
    ("import contextlib, runpy, sys; sys.argv[1:] = ['--help']\n"
     'with contextlib.suppress(SystemExit), '
     'contextlib.redirect_stdout(None): '
     f"runpy.run_path({osp.join(ROOT, 'tools', name)!r}, "
     "run_name='__main__')")
    for name in TOOLS
})
HEAVY = ('numpy', 'torch', 'torchvision', 'cv2', 'PIL', 'matplotlib',
         'mmengine', 'mmcv', 'mmseg', 'mmpretrain')


def loaded(code: str) -> List[str]:
    """Heavy packages in memory after ``code``, in a fresh process."""
    code += f'\nimport sys; print(*(m for m in {HEAVY} if m in sys.modules))'
    return run(code).stdout.split()


def run(code: str) -> subprocess.CompletedProcess:
    """A fresh interpreter that finds the checkout."""
    path = os.pathsep.join(
        [osp.join(ROOT, 'projects'),
         os.environ.get('PYTHONPATH', '')])
    return subprocess.run([sys.executable, '-c', code],
                          capture_output=True,
                          text=True,
                          check=True,
                          env=dict(os.environ, PYTHONPATH=path))


def timed(code: str) -> tuple:
    """Seconds of processor time and on the clock of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = time.perf_counter()
    run(code)
    wall = time.perf_counter() - wall
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime -
            before.ru_stime, wall)


def measure(args: argparse.Namespace) -> List[dict]:
    """All cases in turn, whole processes."""
    times: Dict[str, dict] = {n: dict(time=[], wall=[]) for n in CASES}
    for turn in range(args.repeats + 1):
        for name, code in CASES.items():
            cpu, wall = timed(code)
            if turn:  # the first one fills the disk's cache
                times[name]['time'].append(round(cpu, 6))
                times[name]['wall'].append(round(wall, 6))
    yardstick = times['import mmseg']
    return [{
        'process': name,
        'ms': 1000 * seconds(times[name]),
        '/ import mmseg': ratio(times[name], yardstick),
        'heavy packages in memory': ', '.join(loaded(code)) or 'none',
        'times': times[name]
    } for name, code in CASES.items()]
