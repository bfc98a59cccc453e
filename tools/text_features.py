# Copyright (c) group_wsss contributors. All rights reserved.
"""Write what a CLIP makes of class names, for configs/words."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.quiet import quieten

TEMPLATE = 'a photo of a {}.'
# scenery that is seldom a class; which words serve depends on the data
BACKGROUND = ('ground', 'grass', 'sand', 'water', 'sky', 'tree', 'road',
              'wall', 'floor', 'building', 'mountain', 'snow')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write a text feature for each class and background word. '
        'Words, templates and model are written into the file, and from there '
        'into every manifest: see docs/words.md.')
    parser.add_argument(
        'names',
        help='class names in the order of the data, one a line: NAME, or '
        'NAME: WORD, WORD to call it otherwise')
    parser.add_argument(
        '-o', '--out', required=True, help='the file, text.npz')
    parser.add_argument(
        '--model',
        required=True,
        help='folder of a CLIP as transformers saves it')
    parser.add_argument(
        '--template',
        nargs='+',
        default=[TEMPLATE],
        help=f'sentences with a {{}} for the word (default: {TEMPLATE!r})')
    parser.add_argument(
        '--background',
        nargs='+',
        default=list(BACKGROUND),
        help='words for what is no class; those that are one are left out '
        f'(default: {" ".join(BACKGROUND)})')
    return parser.parse_args()


def main() -> None:
    """Make the file."""
    args = parse_args()
    quieten()
    from group_wsss.contrib.words import (ClipText, make_text_features,
                                          read_words)
    words = read_words(args.names)
    encode = ClipText(args.model)
    text = make_text_features(encode, encode.model, words, args.background,
                              args.template)
    text.save(args.out)
    print(f'{len(words)} classes and {len(text.about["background"])} '
          f'background words ({", ".join(text.about["background"])}) in '
          f'{args.out}')


if __name__ == '__main__':
    cli.run(main)
