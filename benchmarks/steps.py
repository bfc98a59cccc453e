# Copyright (c) group_wsss contributors. All rights reserved.
"""Commands of a benchmark that are not run twice."""
import os
import os.path as osp
import shutil
import subprocess
import sys
import time
from typing import Dict, List, NamedTuple, Optional

from results import ROOT

from group_wsss.utils.errors import InputError


class Step(NamedTuple):
    """A command that leaves a file.

    Args:
        name (str): Its folder.
        command (list[str]): Arguments of python; ``{NAME}`` is the folder
            of another step.
        leaves (str): In the folder, when it is done.
        env (dict): Environment variables, filled in likewise.
    """
    name: str
    command: List[str]
    leaves: str = 'manifest.json'
    env: Dict[str, str] = {}


def fill(word: str, folder: str) -> str:
    """Put folders in the place of their names.

    Args:
        word (str): Of a command.
        folder (str): Where all steps are.

    Returns:
        str: The word with paths.
    """
    while '{' in word:
        start, end = word.index('{'), word.index('}')
        path = osp.join(folder, word[start + 1:end])
        word = word[:start] + path + word[end + 1:]
    return word


def run_step(step: Step, folder: str) -> Optional[float]:
    """Run a command unless it has been.

    Args:
        step (Step): The step.
        folder (str): Where all steps are.

    Returns:
        float, optional: Seconds; None if it was done before.

    Raises:
        InputError: The command failed; its log is named.
    """
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
                              env={
                                  **os.environ,
                                  **env
                              },
                              stdout=log,
                              stderr=subprocess.STDOUT).returncode
    if code:
        raise InputError(f'{out}.log: the command ended with status {code}')
    return time.time() - start
