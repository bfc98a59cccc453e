# Copyright (c) group_wsss contributors. All rights reserved.
"""What a report page is made from."""
import os.path as osp
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ...evaluation import DumpInfo, open_dump
from ...evaluation.label_dump import require_files
from ...structures.palette import voc_palette
from ...utils.errors import InputError

_UNKNOWN_RGB = (255, 255, 255)


class Step(NamedTuple):
    """A dump whose labels are shown: an earlier step, or the dump itself."""
    name: str
    folder: str
    scores: Optional[str]  # folder of the score maps


class PageSource(NamedTuple):
    """Everything that a report page shows.

    Args:
        dump (DumpInfo): The dump; its tags and ids are those of the page.
        steps (tuple[Step]): Earlier steps, of :func:`open_steps`. Defaults
            to none.
        photos (str, optional): Folder of the images. Defaults to None:
            labels are shown alone.
        suffix (str): Ending of the images. Defaults to ``'.jpg'``.
        masks (str, optional): Folder of masks, to judge and to look at; they
            reach nothing else. Defaults to None.
        side (int): Longer side of the pictures in pixels; smaller ones are
            not enlarged. Defaults to 512.
    """
    dump: DumpInfo
    steps: Tuple[Step, ...] = ()
    photos: Optional[str] = None
    suffix: str = '.jpg'
    masks: Optional[str] = None
    side: int = 512

    @property
    def name(self) -> str:
        """str: Of the dump's folder."""
        return step_name(self.dump.folder)

    @property
    def shown(self) -> Tuple[Step, ...]:
        """tuple[Step]: The earlier steps, then the dump."""
        return (*self.steps, Step(self.name, self.dump.folder,
                                  self.dump.scores))

    @property
    def bare(self) -> 'PageSource':
        """PageSource: Without what grows with the number of images.

        What a process of a pool is sent with every piece of work.
        """
        return self._replace(dump=self.dump._replace(ids=[], tags=None))

    def check(self) -> None:
        """See that every image has its image and labels.

        Raises:
            InputError: Some are missing; three of them are named.
        """
        ids = self.dump.ids
        if self.photos is not None:
            require_files(ids, self.photos, self.suffix,
                          f'image ({self.suffix})')
        for step in self.steps:
            require_files(ids, step.folder, '.png', 'label')
            if step.scores is not None:
                require_files(ids, step.scores, '.npz', 'scores')

    def palette(self) -> np.ndarray:
        """Colours of the labels: the manifest's, else those of VOC.

        Returns:
            np.ndarray: uint8 ``(256, 3)`` RGB; 255 is white.

        Raises:
            InputError: The manifest's palette is no list of colours.
        """
        colours = voc_palette()
        given = self.dump.manifest.get('palette')
        if given is not None:
            if not _is_palette(given):
                raise InputError(
                    f'{osp.join(self.dump.folder, "manifest.json")}: '
                    "'palette' must be a list of RGB colours, 0 to 255")
            colours[:len(given)] = given
        colours[255] = _UNKNOWN_RGB
        return colours


def step_name(folder: str) -> str:
    """Last part of a folder's path."""
    return osp.basename(osp.abspath(folder)) or folder


def open_steps(specs: Sequence[str], dump: DumpInfo) -> Tuple[Step, ...]:
    """Find out what the earlier steps of a dump hold.

    Args:
        specs (Sequence[str]): Folders of label PNGs, each alone or as
            ``NAME=FOLDER``. Without a name it is that of the folder.
        dump (DumpInfo): The dump that they led to.

    Returns:
        tuple[Step]: In the order given.

    Raises:
        InputError: No such folder, a folder that cannot be read, a name
            twice, or classes that are not those of the dump.
    """
    steps: List[Step] = []
    names: Dict[str, Any] = {step_name(dump.folder): None}
    for spec in specs:
        name, folder = step_name(spec), spec
        if '=' in spec and not osp.isdir(spec):
            name, folder = spec.split('=', 1)
        if not name.strip() or not name.isprintable():
            raise InputError(f'--steps {spec!r}: a step needs a name of '
                             'printable characters')
        if name in names:
            raise InputError(f'--steps {spec}: there are two steps named '
                             f'{name!r}; name them by NAME=FOLDER')
        names[name] = None
        # names the fault of a folder that holds no labels
        info = open_dump(folder)
        if info.manifest and info.names != dump.names:
            raise InputError(f'{folder}: its classes are not those of '
                             f'{dump.folder}')
        steps.append(Step(name, folder, info.scores))
    return tuple(steps)


def _is_palette(value: Any) -> bool:
    """Whether foreign JSON is a list of at most 255 colours."""
    return isinstance(value, list) and len(value) <= 255 and all(
        isinstance(colour, list) and len(colour) == 3 and all(
            isinstance(part, int) and 0 <= part <= 255 for part in colour)
        for colour in value)
