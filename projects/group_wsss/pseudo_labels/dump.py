# Copyright (c) group_wsss contributors. All rights reserved.
import os.path as osp
import shutil
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Sized

import numpy as np

from ..structures.dump_writer import DumpWriter
from ..structures.manifest import SCORES
from ..structures.score_map import ScoreMap
from ..utils.errors import InputError, NonFiniteError
from ..utils.files import output_path
from .pipeline import LabelPipeline
from .refiners import Refiners
from .thresholds import score_histogram

# where score maps wait for the threshold of the next step
WAITING = 'waiting'
ON_NON_FINITE = ('error', 'skip')


class LabelDump(LabelPipeline):
    """A pipeline that writes what it labels.

    Score maps in front of a stop wait in the staging folder until every
    process is there, and :meth:`finish` goes on. Maps that waited are
    float16.

    Args:
        writer (DumpWriter): Where labels go.
        labeler (Callable): Score map to label, such as a
            ``ThresholdLabeler``.
        refiners (Refiners, optional): Defaults to None.
        keep_scores (bool): Keep the refined score maps as
            ``scores/<img_id>.npz``. Defaults to False.
        on_non_finite (str): An image whose maps hold NaN or an infinity,
            from the model or out of a refiner, ends everything (``'error'``)
            or gets no label and is noted in ``left_out`` (``'skip'``).
            Defaults to 'error'.

    Raises:
        InputError: An unknown ``on_non_finite``, or a refiner's network has
            other classes than the writer.
    """

    def __init__(self,
                 writer: DumpWriter,
                 labeler: Callable[[ScoreMap], np.ndarray],
                 refiners: Optional[Refiners] = None,
                 keep_scores: bool = False,
                 on_non_finite: str = 'error') -> None:
        super().__init__(labeler, refiners, writer.classes)
        if on_non_finite not in ON_NON_FINITE:
            raise InputError(f'on_non_finite={on_non_finite!r} is not one of '
                             f'{ON_NON_FINITE}')
        self.on_non_finite = on_non_finite
        # image id -> why it has no label
        self.left_out: Dict[str, str] = {}
        self.writer = writer
        self.keep_scores = keep_scores
        # image id -> image; in the order they came in
        self.waiting: Dict[str, Any] = {}

    @contextmanager
    def guard(self, img_id: str) -> Iterator[None]:
        """Treat maps that are not finite as configured.

        Args:
            img_id (str): Whose maps are made inside of this context.

        Raises:
            NonFiniteError: With ``on_non_finite='error'``.
        """
        try:
            yield
        except NonFiniteError as error:
            if self.on_non_finite == 'error':
                raise
            self.left_out[img_id] = str(error)

    def take(self, score_map: ScoreMap, image: Any = None) -> None:
        """Refine a score map, and label it if that is possible now.

        Args:
            score_map (ScoreMap): Of one image.
            image (np.ndarray | Callable, optional): As in :meth:`advance`.

        Raises:
            InputError: A class beyond those of the writer, a bad
                image, or the folder cannot be written.
        """
        score_map.require_classes(
            len(self.writer.classes), f'image {score_map.img_id!r}')
        with self.guard(score_map.img_id):
            self._pass(score_map, image)

    def finish(
        self,
        total: Callable[['LabelDump'], np.ndarray],
        progress: Callable[[int, int],
                           None] = lambda done, total: None) -> None:
        """Choose the thresholds that are missing; label what waits.

        Args:
            total (Callable): Gives the sum of ``histogram`` over all
                processes, each image counted once (see
                :meth:`leave_out`). Called once for each stop.
            progress (Callable): Told the images done and their number, from
                each stop to the next.
        """
        while self.waits:
            self.fit(total(self))
            waiting, self.waiting = self.waiting, {}
            for done, (img_id, image) in enumerate(waiting.items(), 1):
                self.take_waiting(img_id, image)
                progress(done, len(waiting))

    def take_waiting(self, img_id: str, image: Any = None) -> None:
        """Take up an image that waited at the stop before.

        Args:
            img_id (str): Its id.
            image (np.ndarray | Callable, optional): As in :meth:`take`.
        """
        with self.guard(img_id):
            self._pass(ScoreMap.load(self._path(WAITING, img_id)), image)

    def leave_out(self, img_ids: Iterable[str]) -> None:
        """Take images that another process counts off the histogram.

        Args:
            img_ids (Iterable[str]): Ids, each at most once.
        """
        for img_id in img_ids:
            if img_id in self.waiting:
                path = self._path(WAITING, img_id)
                self.histogram -= score_histogram(ScoreMap.load(path))

    def stored_bytes(self, img_id: str) -> int:
        """Size of an image's score maps on disk, at this moment.

        Args:
            img_id (str): Its id.

        Returns:
            int: Bytes; 0 if nothing is stored.
        """
        paths = [self._path(folder, img_id) for folder in (WAITING, SCORES)]
        return sum(osp.getsize(path) for path in paths if osp.isfile(path))

    @staticmethod
    def check_any(labelled: Sized, left_out: Dict[str, str]) -> None:
        """Refuse a dump of nothing.

        Args:
            labelled (Sized): What has a label, of all processes.
            left_out (dict[str, str]): Image id and reason of what has none.

        Raises:
            NonFiniteError: Every image was left out.
        """
        if left_out and not len(labelled):
            raise NonFiniteError(f'{next(iter(left_out.values()))} (as do '
                                 f'those of all {len(left_out)} images)')

    def clean_up(self) -> None:
        """Remove maps that only waited; one process does, at the end."""
        folder = osp.join(self.writer.staging, WAITING)
        shutil.rmtree(folder, ignore_errors=True)

    def _pass(self, score_map: ScoreMap, image: Any) -> None:
        """Through the steps up to the next stop."""
        img_id = score_map.img_id
        score_map, label = self.advance(score_map, image)
        if label is not None:
            if self.keep_scores:
                score_map.save(self._path(SCORES, img_id))
            self.writer.write(img_id, label)
        elif img_id not in self.waiting:
            score_map.save(self._path(WAITING, img_id))
            self.waiting[img_id] = image
            # as it is stored, without reading it back
            stored = score_map.maps.astype(np.float16)
            self.count(
                ScoreMap(img_id, score_map.ori_shape, score_map.class_ids,
                         stored))

    def _path(self, folder: str, img_id: str) -> str:
        return output_path(
            osp.join(self.writer.staging, folder), img_id, '.npz')
