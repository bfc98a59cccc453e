# Copyright (c) group_wsss contributors. All rights reserved.
"""The tools of an installed package: ``python -m group_wsss train ...``."""
import ast
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import List

from .utils.errors import InputError
from .utils.home import find_config, find_home, find_tool, list_tools
from .version import __version__

USAGE = """usage: python -m group_wsss COMMAND ...

  TOOL [ARGUMENTS]  run a tool: train, test, make_labels, ...; TOOL -h tells
                    its arguments
  tools             list the tools
  configs           print the folder of the configs
  --version         print the version

A config may be written group_wsss::group_wsss/voc.py: a path in that folder.
To change configs, copy it: cp -r "$(python -m group_wsss configs)" configs"""


def summary(tool: Path) -> str:
    """First line of what a tool says about itself."""
    text = tool.read_text('utf-8')
    if tool.suffix == '.py':
        return (ast.get_docstring(ast.parse(text)) or '').partition('\n')[0]
    return text.splitlines()[2].strip('#: ')


def run_tool(tool: Path, arguments: List[str]) -> int:
    """Run a tool as if it was typed.

    Args:
        tool (Path): The script.
        arguments (list[str]): Of its command line.

    Returns:
        int: Exit status.
    """
    if tool.suffix == '.sh':
        # the scripts say `python`
        path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
        return subprocess.run(['bash', str(tool), *arguments],
                              env=dict(os.environ, PATH=path)).returncode
    sys.argv = [str(tool), *arguments]
    # as Python does with a script; `-m` has put the current folder there
    sys.path[0] = str(tool.parent)
    # workers that are started anew import this file instead of the package
    runpy.run_path(str(tool), run_name='__main__')
    return 0


def main(words: List[str]) -> int:
    """Do what a command line says.

    Args:
        words (list[str]): Its words after ``python -m group_wsss``.

    Returns:
        int: Exit status.
    """
    command, rest = (words or ['--help'])[0], words[1:]
    if command in ('-h', '--help', 'help'):
        print(USAGE)
    elif command == '--version':
        print(__version__)
    elif command == 'configs':
        print(find_home() / 'configs')
    elif command == 'tools':
        tools = list_tools()
        width = max(map(len, tools))
        for name, path in tools.items():
            print(f'{name:{width}}  {summary(path)}')
    else:
        tool = find_tool(command)
        return run_tool(tool, [find_config(word) for word in rest])
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `... tools | head`
        os._exit(1)
