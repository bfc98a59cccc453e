# Copyright (c) group_wsss contributors. All rights reserved.
"""Commands of a benchmark that are not run twice."""
import os
import os.path as osp
import re
import shutil
import subprocess
import sys
import time
from typing import Dict, List, NamedTuple, Optional

from results import ROOT

from group_wsss.utils.errors import InputError


class Step(NamedTuple):
    """A command that leaves a file in a folder of its name.

    ``{NAME}`` in words and variables is the folder of another step.
    """
    name: str
    command: List[str]
    leaves: str = 'manifest.json'
    env: Dict[str, str] = {}


def fill(word: str, folder: str) -> str:
    """Put folders, all in ``folder``, in the place of their names."""
    return re.sub('{([^}]*)}', lambda found: osp.join(folder, found[1]), word)


def run_step(step: Step, folder: str) -> Optional[float]:
    """Run a command in ``folder``: its seconds, None if it has been run."""
    out = osp.join(folder, step.name)
    if osp.exists(osp.join(out, step.leaves)):
        return None
    shutil.rmtree(out, ignore_errors=True)
    command = [fill(word, folder) for word in step.command]
    env = {key: fill(value, folder) for key, value in step.env.items()}
    print(f'{step.name}: {" ".join(command)}', flush=True)
    start = time.time()
    with open(f'{out}.log', 'w') as log:
        code = subprocess.run([sys.executable, *command],
                              cwd=ROOT,
                              env=dict(os.environ, **env),
                              stdout=log,
                              stderr=subprocess.STDOUT).returncode
    if code:
        raise InputError(f'{out}.log: the command ended with status {code}')
    return time.time() - start
