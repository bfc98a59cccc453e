# Copyright (c) group_wsss contributors. All rights reserved.
"""Print a config as it is after inheritance and overrides."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.arguments import add_config_options


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file path')
    parser.add_argument(
        '--save-path', help='also write it here (.py, .json or .yml)')
    add_config_options(parser)
    return parser.parse_args()


def main() -> None:
    """Print."""
    args = parse_args()
    cfg = cli.load_config(args)
    print(cfg.pretty_text)
    if args.save_path is not None:
        suffix = Path(args.save_path).suffix
        if suffix not in ('.py', '.json', '.yml'):
            raise cli.InputError(
                f'{args.save_path}: must end in .py, .json or .yml')
        cfg.dump(args.save_path)


if __name__ == '__main__':
    cli.run(main)
