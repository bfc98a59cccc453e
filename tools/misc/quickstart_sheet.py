# Copyright (c) group_wsss contributors. All rights reserved.
"""The picture at the end of tools/quickstart.py."""
import io
from pathlib import Path
from typing import Sequence

import numpy as np
from PIL import Image

from group_wsss.utils.files import atomic_write

ROWS = 8


def draw_sheet(work_dir: str, data_dir: str, classes: Sequence[str],
               summary: dict) -> str:
    """Draw the first images of the validation list; path of the sheet."""
    # heavy, and needed at the end alone
    from group_wsss.structures import ScoreMap, read_index_png
    from group_wsss.structures.palette import bright_palette
    from group_wsss.visualization import (contact_sheet, paint_label,
                                          paint_scores)
    colours = bright_palette()
    work, data = Path(work_dir), Path(data_dir)
    keys = ('k1', 'group') if 'baseline_k1' in summary else ('group', )
    lines = (data / 'ImageSets' / 'val_cls.txt').read_text().splitlines()
    rows, captions = [], []
    for line in lines[:ROWS]:
        name, *tags = line.split()
        with Image.open(data / 'JPEGImages' / f'{name}.jpg') as file:
            image = np.asarray(file.convert('RGB'))

        def label(*parts: str) -> np.ndarray:
            path = work.joinpath(*parts, f'{name}.png')
            return paint_label(read_index_png(str(path)), image, colours)

        maps = [
            paint_scores(
                ScoreMap.load(
                    str(work / f'{key}-maps' / 'pseudo_labels' / 'scores' /
                        f'{name}.npz')), image, colours) for key in keys
        ]
        mask = read_index_png(str(data / 'SegmentationClass' / f'{name}.png'))
        rows.append([
            image, *maps,
            label('group-maps', 'pseudo_labels'),
            label('group-test', 'predictions'),
            paint_label(mask, image, colours)
        ])
        captions.append('tags: ' + ', '.join(classes[int(i)] for i in tags))
    headings = [
        'Image\nvalidation set',
        f'Class map, groups\nmIoU {summary["cam_miou"]:.1f}',
        f'Pseudo label\nmIoU {summary["pseudo_label_miou"]:.1f}',
        f'DeepLabV3\nmIoU {summary["segmentation_miou"]:.1f}',
        'Mask\nfor evaluation only'
    ]
    if len(keys) > 1:
        plain = summary['baseline_k1']['cam_miou']
        headings.insert(1, f'Class map, K = 1\nmIoU {plain:.1f}')
    sheet = contact_sheet(
        rows,
        headings,
        captions,
        legend=[(name, colours[i + 1]) for i, name in enumerate(classes)],
        title='From image tags to a segmentation network',
        note='The first images of the validation list. mIoU of class maps '
        'and pseudo labels: on the training images.')
    buffer = io.BytesIO()
    sheet.save(buffer, 'PNG', optimize=True)
    path = str(work / 'contact_sheet.png')
    atomic_write(path, buffer.getvalue())
    return path
