# Copyright (c) group_wsss contributors. All rights reserved.
"""Labels against masks, all on the same images."""
import hashlib
from typing import Any, Callable, Dict, Iterable, Optional, Sequence

from ...evaluation import open_dump
from ...utils.errors import InputError
from ...utils.files import output_path
from ...utils.versions import sha256_of
from ..analysis import analyze_dump
from .figures import FIGURES, figures_of


class DumpMetrics:
    """Measure one dump after another.

    Args:
        masks (str, optional): Folder of masks; None measures nothing.
        image_list (str, optional): Images to judge on; those of the first
            dump if None.
        classes (str, optional): As :func:`group_wsss.evaluation.open_dump`
            takes it.
        nproc (int): Processes.

    Attributes:
        facts (dict, optional): What the figures are of, see
            :func:`make_card`; None before the first dump.
    """

    def __init__(self, masks: Optional[str], image_list: Optional[str],
                 classes: Optional[str], nproc: int) -> None:
        self.masks = masks
        self.image_list = image_list
        self.classes = classes
        self.nproc = nproc
        self.facts: Optional[Dict[str, Any]] = None
        self._first = ''

    def __call__(
            self, folder: str,
            progress: Callable[[int, int],
                               None]) -> Dict[str, Optional[float]]:
        """Measure a dump.

        Args:
            folder (str): The dump.
            progress (Callable): Told the images done and their number.

        Returns:
            dict: Of :func:`figures_of`.

        Raises:
            InputError: It has not the images or classes of the first one,
                or a file is missing or damaged.
        """
        if self.masks is None:
            return dict.fromkeys(FIGURES)
        dump = open_dump(
            folder, self.classes, self.image_list, use_scores=False)
        if self.facts is None:
            self._first = folder
            self.facts = dict(
                images=len(dump.ids),
                classes=list(dump.names),
                ids_sha256=_sha(f'{img_id}\n' for img_id in dump.ids),
                masks_sha256=_sha_of_masks(dump.ids, self.masks))
        elif (_sha(f'{img_id}\n'
                   for img_id in dump.ids) != self.facts['ids_sha256']
              or list(dump.names) != self.facts['classes']):
            raise InputError(f'{folder}: has other images or classes than '
                             f'{self._first}; --judge LIST names the images '
                             'to judge all on')
        report = analyze_dump(dump, self.masks, self.nproc, progress)
        # the same for all: of the masks alone
        self.facts['notes'] = [
            note for note in report['dump']['notes'] if note not in dump.notes
        ]
        errors = report['errors']
        return figures_of(errors['confusion'], errors['boundary_mIoU'])


def _sha(lines: Iterable[str]) -> str:
    return hashlib.sha256(''.join(lines).encode()).hexdigest()


def _sha_of_masks(ids: Sequence[str], masks: str) -> str:
    """Checksum of what ``sha256sum`` prints for these masks."""
    lines = []
    for img_id in ids:
        path = output_path(masks, img_id, '.png')
        try:
            lines.append(f'{sha256_of(path)}  {img_id}.png\n')
        except OSError as error:
            raise InputError(f'{path}: {error.strerror or error}') from None
    return _sha(lines)
