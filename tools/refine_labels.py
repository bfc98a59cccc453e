# Copyright (c) group_wsss contributors. All rights reserved.
"""Refine saved score maps and label them anew, without the classifier."""
import argparse
import os.path as osp
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.arguments import add_config_options, add_processes
from group_wsss.utils.errors import InputError
from group_wsss.utils.progress import Progress


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Run the refiners and the labeler of CONFIG on the score '
        'maps that a dump with keep_scores=True, or AttentionAccumulationHook '
        '(its folder "merged"), has left.')
    parser.add_argument(
        'config',
        help='config with `labeler` and, if wanted, `refiners`, as in '
        'configs/refine/')
    parser.add_argument('dump', help='a dump with scores, or a folder of npz')
    parser.add_argument('out', help='folder of the new dump')
    parser.add_argument(
        '--images', help='folder of the images, if a refiner reads them')
    parser.add_argument(
        '--suffix',
        help='their ending, where neither the dump nor --image-list names '
        'them (default: each is looked up by its id)')
    parser.add_argument(
        '--image-list',
        help='image list of stage 1, which names the files, if the dump '
        'does not; its paths are relative to --images')
    parser.add_argument(
        '--classes',
        help='"voc" or a file with one class name a line (default: those of '
        "the dump's manifest.json)")
    parser.add_argument('--list', help='text file with the ids to take')
    parser.add_argument(
        '--keep-scores',
        action='store_true',
        help='keep the refined score maps as well; how much disk they need '
        'is told when the first ones are there')
    parser.add_argument(
        '--on-non-finite',
        choices=['error', 'skip'],
        default='error',
        help='an image whose class maps a refiner turns into NaN or '
        'infinity ends the command (default), or gets no label and is listed '
        'in skipped.txt')
    add_processes(parser)
    add_config_options(parser)
    args = parser.parse_args()
    if args.image_list is not None and args.images is None:
        parser.error('--image-list needs --images')
    return args


def main() -> None:
    """Refine."""
    args = parse_args()
    cfg = cli.load_config(args)
    if 'labeler' not in cfg:
        raise InputError(f'{args.config}: has no `labeler`')
    if not osp.isdir(args.dump):
        raise InputError(f'{args.dump}: no such folder')
    if osp.realpath(args.out) == osp.realpath(args.dump):
        raise InputError(f'{args.out}: is the dump itself; give another '
                         'folder for the new labels')
    from group_wsss.structures.manifest import SCORES, Manifest
    manifest = Manifest.find(args.dump)
    scores = osp.join(args.dump, SCORES)
    if manifest is None:
        scores = scores if osp.isdir(scores) else args.dump
    elif not osp.isdir(scores):
        raise InputError(f'{args.dump}: holds no scores; dump with '
                         'tools/test.py --keep-scores, or keep_scores=True '
                         'of PseudoLabelHook')

    from group_wsss.engine.refine import RefineJob, refine_dump
    from group_wsss.evaluation import dump_classes, find_ids, read_id_list
    from group_wsss.structures.dump import label_ids
    from group_wsss.structures.image_files import image_paths
    if args.classes is None and manifest is None:
        raise InputError(f'{args.dump}: has no manifest.json with class '
                         'names; give --classes')
    classes = dump_classes(args.dump, args.classes)
    ids = read_id_list(args.list) if args.list else None
    if manifest is not None:  # other files in the folder are no scores
        ids = label_ids(args.dump, ids)
    elif ids is None:
        ids = find_ids(scores, '.npz')
    paths = manifest.image_paths if manifest else {}
    if args.image_list is not None:
        from group_wsss.structures import read_image_list
        source = osp.join(args.dump, 'manifest.json')
        records = {
            record.img_id: record
            for record in read_image_list(
                args.image_list,
                classes,
                source=source if manifest else '--classes').records
        }
        for img_id in ids:
            if img_id not in records:
                raise InputError(f'{img_id}: has scores, but is not in the '
                                 'list of images')
        paths = {key: r.path for key, r in records.items() if r.path}
    if args.images is not None:
        paths = image_paths(ids, paths, args.dump, args.images, args.suffix)
    job = RefineJob(
        scores_dir=scores,
        out_dir=args.out,
        classes=tuple(classes),
        labeler=cfg.labeler.to_dict(),
        refiners=tuple(step.to_dict() for step in cfg.get('refiners') or ()),
        image_dir=args.images,
        keep_scores=args.keep_scores,
        palette=manifest and manifest.palette,
        image_paths=paths,
        on_non_finite=args.on_non_finite)
    done = refine_dump(
        job,
        ids=ids,
        nproc=args.nproc,
        progress=Progress(),
        say=lambda line: print(line, file=sys.stderr, flush=True),
        config=cfg.pretty_text,
        checkpoint=manifest and manifest.checkpoint,
        seed=manifest and manifest.seed,
        supervision=manifest.supervision if manifest else ('I', ))
    share = done['unknown_share'] or 0
    chosen = ''.join(f', threshold {t:.3f} chosen from the scores'
                     for t in done['chosen_thresholds'])
    print(f'{done["images"]} label images in {args.out}, {100 * share:.2f} % '
          f'of their pixels unknown{chosen}, '
          f'{done["duration_seconds"]:.0f} s')
    if done['skipped']:
        print(f'{len(done["skipped"])} images have no label, listed in '
              f'{osp.join(args.out, "skipped.txt")}')


if __name__ == '__main__':
    cli.run(main)
