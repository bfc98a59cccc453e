# Copyright (c) group_wsss contributors. All rights reserved.
"""Segment images with a trained network of stage 2."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.arguments import add_config_options


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of stage 2')
    parser.add_argument('checkpoint', help='its trained weights')
    parser.add_argument('images', help='an image, a folder or a glob')
    parser.add_argument(
        '--out', required=True, help='folder for labels and overlays')
    parser.add_argument('--device', help='default: a GPU if there is one')
    add_config_options(parser)
    return parser.parse_args()


def main() -> None:
    """Segment."""
    args = parse_args()
    cfg = cli.load_config(args)
    cli.check_checkpoint(args.checkpoint)
    from group_wsss.apis import SegmentationInferencer
    inferencer = SegmentationInferencer(cfg, args.checkpoint, args.device)
    count, failed = 0, 0
    for found in inferencer.stream(args.images, args.out):
        if 'error' in found:
            failed += 1
            print(f'left out: {found["error"]}', file=sys.stderr)
            continue
        count += 1
        total = sum(found['pixels'].values())
        print(f'{found["img_id"]}: ' +
              ', '.join(f'{name} {100 * pixels / total:.0f} %'
                        for name, pixels in found['pixels'].items()))
    print(f'\nWritten to {args.out}: {count} images' +
          (f', {failed} left out' if failed else '') +
          '\n  labels   <id>.png (palette images of class numbers)\n'
          '  overlays overlays/<id>.jpg\n  counts   predictions.json')
    if failed and not count:
        sys.exit(2)


if __name__ == '__main__':
    cli.run(main)
