# Copyright (c) group_wsss contributors. All rights reserved.
"""Label images on disk, and the manifest that says what they are."""
import json
import os
import os.path as osp
import shutil
import sys
from typing import Any, Dict, Iterable, Mapping, Optional, Sequence, Set

import numpy as np
from PIL import Image

from ..utils.errors import InputError
from ..utils.files import (SameFolder, atomic_write, check_inside, get_rank,
                           make_folder, output_path, remove_leftovers)
from ..utils.versions import software_versions
from .folders import read_id_list
from .label_image import IGNORE_INDEX, encode_index_png
from .manifest import (ID_LIST, MANIFEST, MAX_CLASSES, SCORES, SKIPPED,
                       SUPERVISION, Manifest)
from .palette import palette_of

# where a dump grows; hidden, so that nobody takes it for labels
STAGING = '.unfinished'
# ids of dumps that are being replaced, should that be interrupted
REPLACED = '.replaced-ids.txt'


class DumpWriter:
    """Write label images as index PNGs, the whole dump or none of it.

    A dump grows in a hidden folder inside ``out_dir`` and takes the place of
    an earlier one in :meth:`finish`: until then the old labels are as they
    were, whatever ends the run. Labels and scores of the earlier dump that
    the new one does not name are removed then, and a line on stderr says
    so; other files stay.

    Equal labels give byte-identical files: no time or host enters them.
    Several processes may write the same folder, and even the same image.

    Args:
        out_dir (str): Folder of the label images; created.
        classes (Sequence[str]): Names of the ``C`` classes, without
            background.
        palette (np.ndarray or Sequence, optional): RGB ``(n, 3)`` for the
            labels 0..n-1. Defaults to none, see
            :func:`~group_wsss.structures.palette.palette_of`.
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
        assert not isinstance(classes, str) and len(classes) <= MAX_CLASSES, (
            f'classes is a list of at most {MAX_CLASSES} names')
        self.out_dir = osp.abspath(out_dir)
        self.staging = osp.join(self.out_dir, STAGING)
        self.classes = tuple(str(name) for name in classes)
        self.palette = palette_of(self.classes, palette)
        self.rank = get_rank() if rank is None else rank
        # image id -> pixels of labels 0..C and of 255
        self.counts: Dict[str, np.ndarray] = {}
        make_folder(self.out_dir)
        self._place = SameFolder(self.out_dir)
        for name in (STAGING, SCORES):
            check_inside(osp.join(self.out_dir, name), self.out_dir)
        # fail before any work is done if nothing can be written
        probe = osp.join(self.out_dir, f'.probe-r{self.rank}-p{os.getpid()}')
        atomic_write(probe, b'x', self.rank)
        os.remove(probe)
        remove_leftovers(self.out_dir, self.rank)

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
        data = encode_index_png(label, self.palette)
        # faster than np.bincount, which makes eight bytes of each
        counts = np.array(Image.fromarray(label).histogram())
        limit = len(self.classes) + 1
        assert not counts[limit:IGNORE_INDEX].any(), (
            f'{img_id}: label {int(label[label < IGNORE_INDEX].max())} with '
            f'{limit - 1} classes')
        self._place.check()
        atomic_write(path, data, self.rank)
        self.counts[img_id] = np.append(counts[:limit], counts[IGNORE_INDEX])
        return path

    def begin(self) -> None:
        """Forget what a dump that never finished left; one process does."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def _publish(self, ids: Iterable[str]) -> None:
        """Put all that was written in place of the earlier dump."""
        moves = []
        for root, _, names in os.walk(self.staging):
            folder = osp.normpath(
                osp.join(self.out_dir, osp.relpath(root, self.staging)))
            check_inside(folder, self.out_dir)
            moves += [(osp.join(root, name), osp.join(folder, name))
                      for name in names]
        before = self._ids_before()
        labels = self._files_of(before, '', '.png')
        # scores that only the earlier labels had explain no new ones
        scores = self._files_of({*before, *ids}, SCORES, '.npz')
        # a manifest vouches for a finished dump only
        for name in (MANIFEST, ID_LIST, SKIPPED):
            self._remove(osp.join(self.out_dir, name))
        try:
            for source, target in moves:
                make_folder(osp.dirname(target))
                os.replace(source, target)
        except OSError as error:
            raise InputError(f'{self.out_dir}: cannot put the labels in '
                             f'place: {error.strerror or error}') from None
        new = {target for _, target in moves}
        for path in sorted((labels | scores) - new):
            self._remove(path)
        self.begin()
        if before:
            print(
                f'{self.out_dir}: labels that were there are replaced: '
                f'{len(before)}',
                file=sys.stderr,
                flush=True)

    def _ids_before(self) -> Set[str]:
        """Ids that earlier dumps name; on disk until they are replaced."""
        replaced = osp.join(self.out_dir, REPLACED)
        found: Set[str] = set()
        try:
            if Manifest.find(self.out_dir) is not None:
                found.update(read_id_list(osp.join(self.out_dir, ID_LIST)))
        except InputError:  # damaged: it names nothing
            pass
        if osp.exists(replaced):
            found.update(read_id_list(replaced, whole_lines=True))
        if found:
            atomic_write(replaced, _id_lines(found), self.rank)
        return found

    def _files_of(self, ids: Iterable[str], folder: str,
                  suffix: str) -> Set[str]:
        """Existing files of images; none is reached through a link."""
        root = osp.join(self.out_dir, folder) if folder else self.out_dir
        paths = {output_path(root, img_id, suffix) for img_id in ids}
        for place in {osp.dirname(path) for path in paths}:
            check_inside(place, self.out_dir)
        return {path for path in paths if osp.lexists(path)}

    @staticmethod
    def _remove(path: str) -> None:
        """Remove a file if it is there."""
        try:
            if osp.lexists(path):
                os.remove(path)
        except OSError as error:
            raise InputError(f'{path}: cannot be removed: '
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
               supervision: Sequence[str] = ('I', ),
               image_paths: Optional[Mapping[str, str]] = None,
               seed: Optional[int] = None,
               duration: Optional[float] = None) -> Dict[str, Any]:
        """Put the labels in place, with ``manifest.json`` and ``ids.txt``.

        One process does it, when all have written. What is not listed here
        is as in :class:`Manifest`.

        Args:
            counts (dict, optional): Counts by image id of all ranks.
                Defaults to this writer's own.
            skipped (dict[str, str], optional): Image id and reason of those
                that have no label; written to ``skipped.txt``.
            image_paths (Mapping[str, str], optional): Path by image id; of
                other images too.
            duration (float, optional): Seconds.

        Returns:
            dict: What was written.
        """
        counts = self.counts if counts is None else counts
        paths = image_paths or {}
        self._place.check()
        self._publish(counts)
        names = ['background', *self.classes]
        total = sum(counts.values(), np.zeros(len(names) + 1, np.int64))
        pixels = int(total.sum())
        manifest = vars(
            Manifest(
                images=len(counts),
                classes=names,
                pixels=dict(zip(names, total[:-1].tolist())),
                unknown_pixels=int(total[-1]),
                unknown_share=float(total[-1] / pixels) if pixels else None,
                palette=self.palette[:len(names)].tolist(),
                supervision=[x for x in SUPERVISION if x in supervision],
                labeler=labeler,
                refiners=list(refiners),
                chosen_thresholds=list(chosen_thresholds),
                skipped=sorted(skipped or ()),
                checkpoint=checkpoint or dict(name=None, sha256=None),
                seed=seed,
                duration_seconds=duration,
                versions=software_versions(),
                image_paths={
                    key: paths[key]
                    for key in sorted(counts) if key in paths
                },
                config=config))
        # arrays and tuples of a config become lists, the rest its repr
        text = json.dumps(manifest, indent=2, default=_plain) + '\n'
        atomic_write(
            osp.join(self.out_dir, ID_LIST), _id_lines(counts), self.rank)
        if skipped:
            write_skipped(osp.join(self.out_dir, SKIPPED), skipped)
        atomic_write(
            osp.join(self.out_dir, MANIFEST), text.encode(), self.rank)
        self._remove(osp.join(self.out_dir, REPLACED))
        return manifest


def _id_lines(ids: Iterable[str]) -> bytes:
    """Contents of a list of ids."""
    return ''.join(f'{img_id}\n' for img_id in sorted(ids)).encode()


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
