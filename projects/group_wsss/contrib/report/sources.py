# Copyright (c) group_wsss contributors. All rights reserved.
"""Sources of a report page."""
import os.path as osp
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ...evaluation import open_dump
from ...structures import IGNORE_INDEX, Dump
from ...structures.folders import require_files
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
        dump (Dump): The dump; its tags and ids are those of the page.
        steps (tuple[Step]): Earlier steps, of :func:`open_steps`. Defaults
            to none.
        images (str, optional): Folder of the images. Defaults to None:
            labels are shown alone.
        suffix (str, optional): Ending of the ids whose image has no path of
            its own. Defaults to None.
        masks (str, optional): Folder of masks, to judge and to look at; they
            reach nothing else. Defaults to None.
        side (int): Longer side of the images in pixels; smaller ones are
            not enlarged. Defaults to 512.
    """
    dump: Dump
    steps: Tuple[Step, ...] = ()
    images: Optional[str] = None
    suffix: Optional[str] = None
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
        return self._replace(dump=self.dump.bare)

    def check(self) -> Dict[str, str]:
        """See that every image has its file and labels.

        Returns:
            dict[str, str]: File of each image by id; empty without a folder
            of images.

        Raises:
            InputError: Some are missing; three of them are named.
        """
        ids = self.dump.ids
        paths: Dict[str, str] = {}
        if self.images is not None:
            paths = self.dump.image_paths(self.images, self.suffix)
            paths = {i: osp.join(self.images, paths[i]) for i in ids}
        for step in self.steps:
            require_files(ids, step.folder, '.png', 'label')
            if step.scores is not None:
                require_files(ids, step.scores, '.npz', 'scores')
        return paths

    def palette(self) -> np.ndarray:
        """Colours of the labels, those of the dump.

        Returns:
            np.ndarray: uint8 ``(256, 3)`` RGB; 255 is white.
        """
        colours = self.dump.palette
        colours[IGNORE_INDEX] = _UNKNOWN_RGB
        return colours


def step_name(folder: str) -> str:
    """Last part of a folder's path."""
    return osp.basename(osp.abspath(folder)) or folder


def open_steps(specs: Sequence[str], dump: Dump) -> Tuple[Step, ...]:
    """Find out what the earlier steps of a dump hold.

    Args:
        specs (Sequence[str]): Folders of label PNGs, each alone or as
            ``NAME=FOLDER``. Without a name it is that of the folder.
        dump (Dump): The dump that they led to.

    Returns:
        tuple[Step]: In the order given.

    Raises:
        InputError: No such folder, a folder that cannot be read, a name
            twice, or classes that are not those of the dump.
    """
    steps: List[Step] = []
    names = {step_name(dump.folder)}
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
        names.add(name)
        # names the fault of a folder that holds no labels
        info = open_dump(folder)
        if info.manifest is not None and info.names != dump.names:
            raise InputError(f'{folder}: its classes are not those of '
                             f'{dump.folder}')
        steps.append(Step(name, folder, info.scores))
    return tuple(steps)
