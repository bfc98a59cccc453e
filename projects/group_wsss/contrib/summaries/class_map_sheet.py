# Copyright (c) group_wsss contributors. All rights reserved.
"""Images over their class maps."""
from typing import Optional, Sequence

import numpy as np

from ...structures import ScoreMap
from ...structures.palette import palette_of
from ...visualization import paint_scores
from ...visualization.contact_sheet import _PAPER, contact_sheet, legend_strip


def class_map_sheet(images: Sequence[np.ndarray],
                    score_maps: Sequence[ScoreMap],
                    captions: Sequence[str],
                    classes: Sequence[str],
                    palette: Optional[Sequence] = None,
                    title: str = '',
                    note: str = '',
                    side: int = 176,
                    columns: int = 4) -> np.ndarray:
    """Lay images out in rows, each over its class maps.

    Args:
        images (Sequence[np.ndarray]): RGB uint8 ``(H, W, 3)``.
        score_maps (Sequence[ScoreMap]): One each; ``ori_shape`` is that of
            the image.
        captions (Sequence[str]): One each, under the image id.
        classes (Sequence[str]): Class names, without background.
        palette (Sequence, optional): RGB by label value. Defaults to None,
            see :func:`group_wsss.structures.palette.palette_of`.
        title (str): Over everything. Defaults to none.
        note (str): Under everything. Defaults to none.
        side (int): Longer side of an image in pixels. Defaults to 176.
        columns (int): Images in a row. Defaults to 4.

    Returns:
        np.ndarray: RGB uint8 ``(H, W, 3)``.
    """
    colours = palette_of(classes, palette)
    painted = [
        paint_scores(score_map, image, colours)
        for image, score_map in zip(images, score_maps)
    ]
    blocks = []
    for start in range(0, len(images), columns):
        part = slice(start, start + columns)
        headings = [
            f'{" ".join(one.img_id.split())}\n{" ".join(caption.split())}'
            for one, caption in zip(score_maps[part], captions[part])
        ]
        last = start + columns >= len(images)
        sheet = contact_sheet([images[part], painted[part]],
                              headings,
                              title='' if start else title,
                              note=note if last else '',
                              side=side)
        blocks.append(np.asarray(sheet))
    width = max(block.shape[1] for block in blocks)
    shown = sorted({int(c) for one in score_maps for c in one.class_ids})
    entries = [(classes[c], colours[c + 1]) for c in shown]
    blocks.append(np.asarray(legend_strip(entries, width, side)))
    return np.concatenate([_widen(block, width) for block in blocks])


def _widen(block: np.ndarray, width: int) -> np.ndarray:
    """Paper at the right of a narrow sheet."""
    wide = np.full((len(block), width, 3), _PAPER, dtype=np.uint8)
    wide[:, :block.shape[1]] = block
    return wide
