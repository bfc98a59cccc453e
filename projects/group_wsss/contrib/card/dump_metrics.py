# Copyright (c) group_wsss contributors. All rights reserved.
"""Labels against masks, all on the same images."""
import hashlib
from typing import (Any, Callable, Dict, Iterable, List, Optional, Sequence,
                    Tuple)

from ...evaluation import open_dump
from ...utils.errors import InputError
from ...utils.files import output_path
from ...utils.versions import sha256_of
from ..analysis import analyze_dump
from .figures import FIGURES, figures_of

Figures = Dict[str, Optional[float]]


def judge_dumps(
    folders: Sequence[str], masks: Optional[str], image_list: Optional[str],
    classes: Optional[str], nproc: int, progress: Callable[[int, int], None]
) -> Tuple[List[Figures], Optional[Dict[str, Any]]]:
    """Measure one dump after another.

    Args:
        folders (Sequence[str]): The dumps.
        masks (str, optional): Folder of masks; None measures nothing.
        image_list (str, optional): Images to judge on; those of the first
            dump if None.
        classes (str, optional): As :func:`group_wsss.evaluation.open_dump`
            takes it.
        nproc (int): Processes.
        progress (Callable): Told the images done and their number.

    Returns:
        tuple: :func:`figures_of` each, and what they are of, see
        :func:`make_card`; None if nothing was measured.

    Raises:
        InputError: A dump has not the images or classes of the first one, or
            a file is missing or damaged.
    """
    if masks is None or not folders:
        return [dict.fromkeys(FIGURES) for _ in folders], None
    dumps = [
        open_dump(folder, classes, image_list, use_scores=False)
        for folder in folders
    ]
    ids, names = dumps[0].ids, dumps[0].names
    for dump in dumps:
        if (dump.ids, dump.names) != (ids, names):
            raise InputError(f'{dump.folder}: has other images or classes '
                             f'than {folders[0]}; --judge LIST names the '
                             'images to judge all on')
    facts: Dict[str, Any] = dict(
        images=len(ids),
        classes=list(names),
        ids_sha256=_sha(f'{img_id}\n' for img_id in ids),
        masks_sha256=_sha(_sums(ids, masks)))
    figures = []
    for before, dump in enumerate(dumps):
        report = analyze_dump(
            dump, masks, nproc,
            lambda done, images: progress(before * images + done,
                                          len(dumps) * images))
        # the same for all: of the masks alone
        facts['notes'] = [
            note for note in report['dump']['notes'] if note not in dump.notes
        ]
        errors = report['errors']
        figures.append(
            figures_of(errors['confusion'], errors['boundary_mIoU']))
    return figures, facts


def _sha(lines: Iterable[str]) -> str:
    return hashlib.sha256(''.join(lines).encode()).hexdigest()


def _sums(ids: Sequence[str], masks: str) -> Iterable[str]:
    """What ``sha256sum`` prints for these masks."""
    for img_id in ids:
        path = output_path(masks, img_id, '.png')
        try:
            yield f'{sha256_of(path)}  {img_id}.png\n'
        except OSError as error:
            raise InputError(f'{path}: {error.strerror or error}') from None
