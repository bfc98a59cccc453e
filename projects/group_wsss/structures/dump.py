# Copyright (c) group_wsss contributors. All rights reserved.
"""A dump: a folder of label images that says what it is."""
import dataclasses
import os.path as osp
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..utils.classes import require_same_classes
from ..utils.errors import InputError
from ..utils.files import output_path
from .folders import find_ids, read_id_list, require_files
from .image_files import image_paths
from .image_list import read_image_list
from .label_image import check_values, read_index_png
from .manifest import ID_LIST, MANIFEST, SCORES, Manifest
from .palette import palette_of
from .score_map import ScoreMap


def label_ids(folder: str,
              wanted: Optional[Sequence[str]] = None) -> List[str]:
    """Find the ids of a folder of label images.

    Args:
        folder (str): A dump, whose own list is trusted alone, or a foreign
            folder, of which all PNGs are taken.
        wanted (Sequence[str], optional): Ids to take. Defaults to all.

    Returns:
        list[str]: ``wanted``, or all ids, sorted.

    Raises:
        InputError: No such folder, a damaged manifest or list, or the dump
            does not name an id that is wanted, whatever lies in its folder.
    """
    if Manifest.find(folder) is None:
        return find_ids(folder) if wanted is None else list(wanted)
    path = osp.join(folder, ID_LIST)
    ids = sorted(read_id_list(path))
    if wanted is None:
        return ids
    known = set(ids)
    missing = [img_id for img_id in wanted if img_id not in known]
    if missing:
        raise InputError(f'{path}: {len(missing)} of {len(wanted)} images '
                         f'have no label in this dump, first {missing[0]!r}')
    return list(wanted)


class Dump(NamedTuple):
    """A folder of label images that has what it promises.

    Attributes:
        folder (str): Holds ``<img_id>.png``.
        ids (list[str]): Sorted image ids.
        names (tuple[str]): Name of each label, background first.
        tags (dict, optional): Labels (class id + 1) of the tags by image id.
        scores (str, optional): Folder of the score maps.
        manifest (Manifest, optional): None in a foreign folder.
        notes (tuple[str]): Sentences about what is not there.
        known_paths (dict): Path of the image by id, of the list or else of
            the manifest, as far as they know it.
    """
    folder: str
    ids: List[str]
    names: Tuple[str, ...]
    tags: Optional[Dict[str, Tuple[int, ...]]] = None
    scores: Optional[str] = None
    manifest: Optional[Manifest] = None
    notes: Tuple[str, ...] = ()
    known_paths: Dict[str, str] = {}

    @classmethod
    def open(cls,
             folder: str,
             classes: Optional[Sequence[str]] = None,
             image_list: Optional[str] = None,
             scores: Optional[str] = None,
             use_scores: bool = True) -> 'Dump':
        """Find out what a dump holds; the images themselves are not opened.

        Args:
            folder (str): A dump of :class:`DumpWriter`, or a foreign folder
                of label PNGs.
            classes (Sequence[str], optional): Names without background,
                those of the manifest if there is one. Defaults to them; a
                foreign folder needs names.
            image_list (str, optional): List of the images to look at; its
                class ids are the tags. Defaults to the ids of the dump,
                and to all PNGs of a foreign folder.
            scores (str, optional): Folder of score maps. Defaults to
                ``scores`` in ``folder`` if it is there.
            use_scores (bool): False looks at no scores. Defaults to True.

        Returns:
            Dump: Checked: each image has a label and, if there are scores,
            a score map.

        Raises:
            InputError: A folder or file is missing or damaged, class names
                differ, or the dump has no label of a listed image.
        """
        if not osp.isdir(folder):
            raise InputError(f'{folder}: no such folder')
        manifest = Manifest.find(folder)
        if classes is None and manifest is None:
            raise InputError(
                f'{folder}: has no {MANIFEST}, so it is no finished dump; if '
                'it is a folder of other label images, name their classes by '
                '--classes')
        where = osp.join(folder, MANIFEST)
        if manifest is not None:
            if classes is not None:
                require_same_classes(classes, 'the given classes',
                                     manifest.classes[1:], where)
            classes = manifest.classes[1:]
        names = ('background', *(classes or ()))
        if not all(name.isprintable() for name in names):
            raise InputError(f'{folder}: a class name holds a control '
                             'character')
        tags, wanted = None, None
        paths = {} if manifest is None else dict(manifest.image_paths)
        if image_list is not None:
            records = read_image_list(
                image_list, names[1:],
                source=where if manifest else 'classes').records
            wanted = [record.img_id for record in records]
            paths.update((r.img_id, r.path) for r in records if r.path)
            if any(record.labels for record in records):
                tags = {
                    record.img_id: tuple(label + 1 for label in record.labels)
                    for record in records
                }
        ids = label_ids(folder, wanted)
        if not ids:
            raise InputError(f'{folder}: no label PNG found')
        require_files(ids, folder, '.png', 'label')
        notes = []
        inside = osp.join(folder, SCORES)
        if not use_scores:
            scores = None
        elif scores is None and osp.isdir(inside):
            scores = inside
        if scores is None:
            notes.append('no scores: the threshold curve and the score '
                         'histogram are left out (keep_scores=True of the '
                         'hook saves them)')
        else:
            require_files(ids, scores, '.npz',
                          'scores (--no-scores does without)')
        return cls(folder, sorted(ids), names, tags, scores, manifest,
                   tuple(notes), paths)

    def image_paths(self,
                    folder: Optional[str] = None,
                    suffix: Optional[str] = None) -> Dict[str, str]:
        """Name the file of every image.

        Args, returns and raises as :func:`.image_files.image_paths`.
        """
        return image_paths(self.ids, self.known_paths, self.folder, folder,
                           suffix)

    @property
    def bg_threshold(self) -> Optional[float]:
        """float, optional: :attr:`Manifest.bg_threshold`."""
        return None if self.manifest is None else self.manifest.bg_threshold

    @property
    def palette(self) -> np.ndarray:
        """np.ndarray: uint8 ``(256, 3)``, see
        :func:`~group_wsss.structures.palette.palette_of`.
        """
        chosen = None if self.manifest is None else self.manifest.palette
        return palette_of(self.names[1:], chosen)

    @property
    def bare(self) -> 'Dump':
        """Dump: Without what grows with the number of images, as a process
        of a pool is sent it with every piece of work.
        """
        manifest = self.manifest
        if manifest is not None:
            manifest = dataclasses.replace(
                manifest, image_paths={}, config=None)
        return self._replace(
            ids=[], tags=None, manifest=manifest, known_paths={})

    def tags_from(self, mask_dir: Optional[str]) -> Optional[str]:
        """Say where tags come from: ``'list'``, else ``'scores'``, else
        ``'masks'`` if there is a folder of them, else None.
        """
        if self.tags is not None:
            return 'list'
        if self.scores is not None:
            return 'scores'
        return None if mask_dir is None else 'masks'

    def read_label(self, img_id: str) -> np.ndarray:
        """Read a label image.

        Args:
            img_id (str): Image id.

        Returns:
            np.ndarray: uint8 ``(H, W)`` with labels of ``names`` and 255.

        Raises:
            InputError: Missing, damaged, or with a value that is no label;
                names the file.
        """
        path = output_path(self.folder, img_id, '.png')
        label = read_index_png(path)
        check_values(label, path, len(self.names))
        return label

    def read_scores(self, img_id: str) -> ScoreMap:
        """Read the score map of an image.

        Args:
            img_id (str): Image id.

        Returns:
            ScoreMap: Of classes of the dump.

        Raises:
            InputError: Missing, damaged, of another image or with a class
                beyond ``names``; names the file.
        """
        assert self.scores is not None, f'{self.folder}: no scores'
        path = output_path(self.scores, img_id, '.npz')
        score_map = ScoreMap.load_of(path, img_id)
        score_map.require_classes(len(self.names) - 1, path)
        return score_map
