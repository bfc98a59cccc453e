# Copyright (c) group_wsss contributors. All rights reserved.
"""Label images on disk, and the manifest that says what they are."""
import json
import os
import os.path as osp
import shutil
from typing import Any, Dict, Optional, Sequence

import numpy as np
from mmengine.dist import get_rank
from PIL import Image

from ..structures.label_image import encode_index_png
from ..structures.palette import voc_palette
from ..utils.errors import InputError
from ..utils.files import (SameFolder, atomic_write, check_inside, make_folder,
                           output_path, remove_leftovers)
from ..utils.versions import software_versions

UNKNOWN = 255
MANIFEST = 'manifest.json'
# one image id a line: what mmseg's `ann_file` of stage 2 wants
ID_LIST = 'ids.txt'
# images without a label because their file is corrupt, and why
SKIPPED = 'skipped.txt'
# where a dump grows; hidden, so that nobody takes it for labels
STAGING = '.unfinished'
# score maps that were kept
SCORES = 'scores'


class LabelWriter:
    """Write label images as index PNGs, the whole dump or none of it.

    A dump grows in a hidden folder inside ``out_dir`` and takes the place of
    an earlier one in :meth:`finish`: until then the old labels are as they
    were, whatever ends the run.

    Equal labels give byte-identical files: no time or host enters them.
    Several processes may write the same folder, and even the same image.

    Args:
        out_dir (str): Folder of the label images; created.
        classes (Sequence[str]): Names of the ``C`` classes, without
            background.
        palette (np.ndarray or Sequence, optional): RGB ``(n, 3)`` for the
            labels 0..n-1; VOC colours fill the rest. Defaults to VOC.
        rank (int, optional): Rank in part file names. Defaults to the
            current one.

    Raises:
        InputError: ``out_dir`` cannot be created or written, or a link in it
            leads elsewhere.
    """

    def __init__(self,
                 out_dir: str,
                 classes: Sequence[str],
                 palette: Optional[Sequence] = None,
                 rank: Optional[int] = None) -> None:
        assert not isinstance(classes, str) and len(classes) < UNKNOWN, (
            'classes is a list of at most 254 names')
        self.out_dir = osp.abspath(out_dir)
        self.staging = osp.join(self.out_dir, STAGING)
        self.classes = tuple(str(name) for name in classes)
        self.palette = voc_palette()
        if palette is not None:
            palette = np.asarray(palette, dtype=np.uint8).reshape(-1, 3)
            self.palette[:len(palette)] = palette
        self.rank = get_rank() if rank is None else rank
        # image id -> pixels of labels 0..C and of 255
        self.counts: Dict[str, np.ndarray] = {}
        make_folder(self.out_dir)
        self._place = SameFolder(self.out_dir)
        for name in (STAGING, SCORES):
            check_inside(osp.join(self.out_dir, name), self.out_dir)
        self._probe()
        remove_leftovers(self.out_dir, self.rank)

    def _probe(self) -> None:
        """Fail before any work is done if nothing can be written."""
        probe = osp.join(self.out_dir, f'.probe-r{self.rank}-p{os.getpid()}')
        atomic_write(probe, b'x', self.rank)
        os.remove(probe)

    def write(self, img_id: str, label: np.ndarray) -> str:
        """Write one label image.

        Args:
            img_id (str): Image id; may hold ``/``, never leaves ``out_dir``.
            label (np.ndarray): uint8 ``(H, W)`` with 0..C and 255.

        Returns:
            str: Path of the PNG, in ``staging`` until :meth:`finish`.

        Raises:
            InputError: A bad id, or the folder cannot be written.
        """
        path = output_path(self.staging, img_id, '.png')
        assert label.dtype == np.uint8 and label.ndim == 2, (
            f'{img_id}: a label is uint8 (H, W), got {label.dtype} '
            f'{label.shape}')
        # faster than np.bincount, which makes eight bytes of each
        counts = np.array(Image.fromarray(label).histogram())
        limit = len(self.classes) + 1
        assert not counts[limit:UNKNOWN].any(), (
            f'{img_id}: label {int(label[label < UNKNOWN].max())} with '
            f'{limit - 1} classes')
        self._place.check()
        atomic_write(path, encode_index_png(label, self.palette), self.rank)
        self.counts[img_id] = np.append(counts[:limit], counts[UNKNOWN])
        return path

    def begin(self) -> None:
        """Forget what a dump that never finished left; one process does."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def _publish(self) -> None:
        """Put all that was written in its place."""
        moves = []
        for root, _, names in os.walk(self.staging):
            where = osp.relpath(root, self.staging)
            folder = osp.normpath(osp.join(self.out_dir, where))
            check_inside(folder, self.out_dir)
            moves.append((root, folder, names))
        self._clear_manifest()
        try:
            self._remove_scores()
            for root, folder, names in moves:
                make_folder(folder)
                for name in names:
                    os.replace(osp.join(root, name), osp.join(folder, name))
        except OSError as error:
            raise InputError(f'{self.out_dir}: cannot put the labels in '
                             f'place: {error.strerror or error}') from None
        self.begin()

    def _remove_scores(self) -> None:
        """Remove score maps of earlier labels: they explain no new ones."""
        for root, _, names in os.walk(osp.join(self.out_dir, SCORES)):
            for name in names:
                if name.endswith('.npz'):
                    os.remove(osp.join(root, name))

    def _clear_manifest(self) -> None:
        """Remove an old manifest: it vouches for a finished dump only."""
        for name in (MANIFEST, ID_LIST, SKIPPED):
            path = osp.join(self.out_dir, name)
            try:
                if osp.exists(path):
                    os.remove(path)
            except OSError as error:
                raise InputError(f'{self.out_dir}: cannot remove {name}: '
                                 f'{error.strerror or error}') from None

    def finish(self,
               counts: Optional[Dict[str, np.ndarray]] = None,
               *,
               config: Any = None,
               checkpoint: Optional[Dict[str, Optional[str]]] = None,
               labeler: Optional[dict] = None,
               refiners: Sequence[dict] = (),
               chosen_thresholds: Sequence[float] = (),
               skipped: Optional[Dict[str, str]] = None,
               seed: Optional[int] = None,
               duration: Optional[float] = None) -> Dict[str, Any]:
        """Put the labels in place, with ``manifest.json`` and ``ids.txt``.

        One process does it, when all have written.

        Args:
            counts (dict, optional): Counts by image id of all ranks.
                Defaults to this writer's own.
            config (str or dict, optional): The run's config.
            checkpoint (dict, optional): ``name`` and ``sha256``.
            labeler (dict, optional): Config of the labeler, with its
                thresholds.
            refiners (Sequence[dict]): Configs of the refiners. Defaults to
                none.
            chosen_thresholds (Sequence[float]): Those that rules chose from
                the scores, in the order of the steps. Defaults to none.
            skipped (dict[str, str], optional): Image id and reason of those
                that have no label; written to ``skipped.txt``. Defaults to
                none.
            seed (int, optional): Seed of the run.
            duration (float, optional): Seconds.

        Returns:
            dict: What was written.
        """
        counts = self.counts if counts is None else counts
        self._place.check()
        self._publish()
        names = ('background', *self.classes)
        total = np.zeros(len(names) + 1, dtype=np.int64)
        for row in counts.values():
            total += row
        pixels = int(total.sum())
        manifest = dict(
            images=len(counts),
            classes=list(names),
            pixels={
                name: int(count)
                for name, count in zip(names, total)
            },
            unknown_pixels=int(total[-1]),
            unknown_share=float(total[-1] / pixels) if pixels else None,
            unknown_label=UNKNOWN,
            palette=self.palette[:len(names)].tolist(),
            labeler=labeler,
            refiners=list(refiners),
            chosen_thresholds=list(chosen_thresholds),
            skipped=sorted(skipped or ()),
            checkpoint=checkpoint or dict(name=None, sha256=None),
            seed=seed,
            duration_seconds=duration,
            versions=software_versions(),
            config=config)
        # arrays and tuples of a config become lists, the rest its repr
        text = json.dumps(manifest, indent=2, default=_plain) + '\n'
        ids = ''.join(f'{img_id}\n' for img_id in sorted(counts))
        atomic_write(osp.join(self.out_dir, ID_LIST), ids.encode(), self.rank)
        if skipped:
            write_skipped(osp.join(self.out_dir, SKIPPED), skipped)
        atomic_write(
            osp.join(self.out_dir, MANIFEST), text.encode(), self.rank)
        return manifest


def write_skipped(path: str, skipped: Dict[str, str]) -> None:
    """Write image id and reason of what was left out, one a line.

    Args:
        path (str): The file; id and reason are separated by a tab.
        skipped (dict[str, str]): Image id and reason.

    Raises:
        InputError: The folder cannot be written.
    """
    lines = ''.join(f'{img_id}\t{" ".join(reason.split())}\n'
                    for img_id, reason in sorted(skipped.items()))
    atomic_write(path, lines.encode('utf-8', 'surrogateescape'))


def _plain(value: Any) -> Any:
    """JSON form of what json does not know."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return repr(value)
