# Copyright (c) group_wsss contributors. All rights reserved.
"""Look at the groups of a config and at its labels before training."""
import argparse
import io
import json
import os.path as osp
import sys
from itertools import islice
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.arguments import add_config_options, positive
from group_wsss.utils.data_flags import check_data
from group_wsss.utils.errors import InputError
from group_wsss.utils.progress import Progress

# all that a run may write: what it does not write again is out of date
FILES = ('groups.png', 'groups.csv', 'labels.md', 'labels.json', 'classes.csv',
         'label_sets.csv', 'class_sizes.png', 'set_sizes.png')


class Member(NamedTuple):
    """An image of a group."""
    img_id: str
    img_path: str
    labels: List[int]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Show groups as the config draws them, and tell which '
        'label sets and classes are too rare to group. No mask is read.')
    parser.add_argument('config', help='config file of stage 1')
    parser.add_argument(
        '--test',
        action='store_true',
        help='the groups of test_dataloader, which label the images '
        '(default: those of train_dataloader)')
    parser.add_argument(
        '--out',
        help='folder of the files (default: WORK_DIR/groups, with '
        '--test WORK_DIR/groups_test)')
    parser.add_argument(
        '--num',
        type=positive,
        default=20,
        help='groups to show (default: 20)')
    parser.add_argument(
        '--seed',
        type=int,
        help='seed of the draw (default: randomness.seed of the config, else '
        '0; with --test that of the dataset)')
    parser.add_argument(
        '--list-only',
        action='store_true',
        help='open no image: ids, tags and statistics alone')
    parser.add_argument(
        '--side', type=int, default=176, help='pixels of an image')
    parser.add_argument('--work-dir', help='where OUT goes by default')
    add_config_options(parser)
    args = parser.parse_args()
    if not 64 <= args.side <= 1024:
        parser.error('--side must be from 64 to 1024')
    return args


def build_dataset(cfg: Any, list_only: bool) -> Any:
    """The dataset of a loader; without images if these are not read."""
    from group_wsss.datasets import ImageLevelDataset
    from group_wsss.registry import DATASETS
    nodes = [cfg]
    while list_only and nodes:
        node = nodes.pop()
        kind = node.get('type')
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, ImageLevelDataset):
            node['check_files'] = False
        nodes += [node[k] for k in ('dataset', 'reference') if node.get(k)]
    return DATASETS.build(cfg)


def train_groups(cfg: Any, args: argparse.Namespace) -> Tuple[Any, ...]:
    """Groups in the order of the run, as ``Runner`` builds the sampler.

    Returns:
        tuple: Groups of members, ``LabelIndex``, class names, group size and
        rule.
    """
    from group_wsss.datasets import GroupBatchSampler
    from group_wsss.registry import DATA_SAMPLERS
    loader = cfg.get('train_dataloader') or {}
    if not loader.get('batch_sampler') or not loader.get('sampler'):
        raise InputError(f'{args.config}: train_dataloader has no '
                         'batch_sampler and sampler: no groups to show')
    seed = args.seed
    if seed is None:
        seed = (cfg.get('randomness') or {}).get('seed') or 0
    dataset = build_dataset(loader.dataset, args.list_only)
    sampler = DATA_SAMPLERS.build(
        loader.sampler, default_args=dict(dataset=dataset, seed=seed))
    batches = DATA_SAMPLERS.build(
        loader.batch_sampler,
        default_args=dict(
            sampler=sampler, batch_size=loader.get('batch_size', 1)))
    if not isinstance(batches, GroupBatchSampler) or batches.group_size < 2:
        raise InputError(f'{args.config}: train_dataloader.batch_sampler '
                         'makes no groups (GroupBatchSampler with a '
                         'group_size of 2 or more)')
    size, index = batches.group_size, batches.index
    count = -(-args.num * size // batches.batch_size)
    flat = [i for batch in islice(batches, count) for i in batch]
    flat = flat[:args.num * size]
    members = [member(dataset, i, index.labels_of(i)) for i in flat]
    groups = [members[i:i + size] for i in range(0, len(members), size)]
    names = class_names(dataset, index.num_classes)
    return groups, index, names, size, batches.match


def test_groups(cfg: Any, args: argparse.Namespace) -> Tuple[Any, ...]:
    """Groups of anchors spread evenly over the list; as train_groups."""
    from group_wsss.datasets import GroupedDataset, LabelIndex
    from group_wsss.datasets.samplers import labels_of_dataset
    loader = cfg.get('test_dataloader') or {}
    inner = loader.get('dataset') or {}
    if args.seed is not None and inner:
        inner['seed'] = args.seed
    if str(inner.get('type')).split('.')[-1] != 'GroupedDataset':
        raise InputError(f'{args.config}: test_dataloader.dataset is no '
                         'GroupedDataset: no groups to show')
    data = build_dataset(inner, args.list_only)
    assert isinstance(data, GroupedDataset)
    if data.group_size < 2:
        raise InputError(f'{args.config}: test_dataloader.dataset.group_size '
                         'is 1: no groups to show')
    count = min(args.num, len(data))
    # whole numbers, so that none comes twice
    anchors = [i * len(data) // count for i in range(count)]
    groups = []
    for i in anchors:
        group = [member(data.dataset, i)]
        group += [
            member(data.reference, int(j)) for j in data.group_partners[i]
        ]
        groups.append(group)
    labels = labels_of_dataset(data.reference)
    largest = max((max(ids) for ids in labels if ids), default=-1)
    names = class_names(data.reference, largest + 1)
    index = LabelIndex(labels, len(names))
    return groups, index, names, data.group_size, data.match


def member(dataset: Any, i: int, labels: Optional[List[int]] = None) -> Member:
    """Id, file and class ids of an image."""
    from group_wsss.structures.image_list import image_id_of
    info = dataset.get_data_info(i)
    if labels is None:
        labels = [int(c) for c in dataset.get_cat_ids(i)]
    return Member(image_id_of(info), info['img_path'], labels)


def class_names(dataset: Any, count: int) -> List[str]:
    """At least ``count`` names; numbers where the dataset has none."""
    names = list((getattr(dataset, 'metainfo', None) or {}).get('classes', ()))
    # segmentation data sets count the background, image-level labels do not
    if names and names[0] == 'background':
        names = names[1:]
    return names + [str(i) for i in range(len(names), count)]


def sheet(groups: List[List[Member]], names: List[str], title: str,
          side: int) -> bytes:
    """PNG of the contact sheet."""
    from group_wsss.contrib.groups.group_sheet import GroupMember, group_sheet
    from group_wsss.datasets import load_image
    rows = []
    for group in Progress('groups').over(groups, len(groups)):
        anchor = set(group[0].labels)
        rows.append([
            GroupMember(
                load_image(item.img_path), item.img_id,
                [(names[c], c in anchor) for c in item.labels])
            for item in group
        ])
    buffer = io.BytesIO()
    group_sheet(rows, title, 'bold: a tag of the anchor', side).save(
        buffer, format='png')
    return buffer.getvalue()


def main() -> None:
    """Draw, count, write, print."""
    args = parse_args()
    cfg = cli.load_config(args)
    loader = 'test_dataloader' if args.test else 'train_dataloader'
    if not args.list_only:
        check_data(cfg, [loader])
    from mmengine.registry import init_default_scope

    from group_wsss.contrib.analysis.analysis_tables import csv_bytes
    from group_wsss.contrib.groups.label_advice import label_advice, label_page
    from group_wsss.contrib.groups.label_plots import (plot_class_sizes,
                                                       plot_set_sizes)
    from group_wsss.contrib.groups.label_statistics import label_statistics
    from group_wsss.engine.runner import settle_group_size
    from group_wsss.utils.results import replace_files
    settle_group_size(cfg)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    out = args.out or osp.join(cfg.work_dir,
                               'groups_test' if args.test else 'groups')
    draw = test_groups if args.test else train_groups
    groups, index, names, size, match = draw(cfg, args)
    statistics = label_statistics(index, size, names)
    title = (f'{osp.basename(args.config)}: {loader}, groups of {size}, '
             f'match={match!r}')
    cli.prepare_work_dir(out)
    table: List[Dict[str, Any]] = [
        dict(
            group=number,
            slot=slot,
            img_id=item.img_id,
            labels=[names[c] for c in item.labels])
        for number, group in enumerate(groups)
        for slot, item in enumerate(group)
    ]
    files = {
        'groups.csv': csv_bytes(table),
        'labels.md': label_page(statistics, f'Labels of {title}').encode(),
        'labels.json': (json.dumps(statistics, indent=1) + '\n').encode(),
        'classes.csv': csv_bytes(statistics['per_class']),
        'label_sets.csv': csv_bytes(statistics['per_set']),
        'class_sizes.png': plot_class_sizes(statistics),
        'set_sizes.png': plot_set_sizes(statistics)
    }
    if not args.list_only:
        files['groups.png'] = sheet(groups, names, title, args.side)
    replace_files(out, FILES, files)
    print(f'{title}; seeds and files decide, the same command shows the same')
    for group in groups:
        print('  ' + ' + '.join(
            f'{item.img_id} [{", ".join(names[c] for c in item.labels)}]'
            for item in group))
    print(f'\n{index.num_images:,} images, {statistics["sets"]:,} distinct '
          'label sets')
    for line in label_advice(statistics):
        print(f'- {line}')
    print(f'\nfiles: {out}')


if __name__ == '__main__':
    cli.run(main)
