# Copyright (c) group_wsss contributors. All rights reserved.
"""What a folder of label images says about itself."""
import os.path as osp
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..structures.dump import labeler_threshold
from ..utils.errors import InputError
from ..utils.files import output_path, read_json
from .class_names import class_names
from .label_folder import find_ids, read_id_list

MANIFEST = 'manifest.json'
ID_LIST = 'ids.txt'
SCORES = 'scores'
# labels are uint8, 255 is unknown
_MAX_CLASSES = 254


class DumpInfo(NamedTuple):
    """A folder of label images that has what it promises."""
    folder: str
    ids: List[str]  # sorted
    names: Tuple[str, ...]  # background first
    # labels (class id + 1) of the tags by image id
    tags: Optional[Dict[str, Tuple[int, ...]]]
    scores: Optional[str]  # folder of the score maps
    manifest: Dict[str, Any]  # {} if there is none
    notes: Tuple[str, ...]  # sentences about what is not there

    @property
    def bg_threshold(self) -> Optional[float]:
        """float, optional: Of the ``ThresholdLabeler`` that made the labels.
        """
        return labeler_threshold(self.manifest)

    def tags_from(self, mask_dir: Optional[str]) -> Optional[str]:
        """Where tags come from.

        Args:
            mask_dir (str, optional): Folder of masks.

        Returns:
            str, optional: ``'list'``, else ``'scores'``, else ``'masks'``,
            else None: no tags.
        """
        if self.tags is not None:
            return 'list'
        if self.scores is not None:
            return 'scores'
        return None if mask_dir is None else 'masks'


def open_dump(folder: str,
              classes: Optional[str] = None,
              image_list: Optional[str] = None,
              scores: Optional[str] = None,
              use_scores: bool = True) -> DumpInfo:
    """Find out what a dump holds; the images themselves are not opened.

    Args:
        folder (str): Label PNGs, with or without the ``manifest.json``,
            ``ids.txt`` and ``scores/`` of
            :class:`group_wsss.pseudo_labels.LabelWriter`.
        classes (str, optional): As :func:`class_names` takes it. Defaults
            to the manifest's classes and, without a manifest, ``'voc'``.
        image_list (str, optional): List of the images to look at; its class
            ids are the tags. Defaults to ``ids.txt``, else all PNGs.
        scores (str, optional): Folder of score maps. Defaults to
            ``scores`` in ``folder`` if it is there.
        use_scores (bool): False looks at no scores. Defaults to True.

    Returns:
        DumpInfo: Checked: each image has a label and, if there are scores,
        a score map.

    Raises:
        InputError: A folder or file is missing or damaged; it is named.
    """
    if not osp.isdir(folder):
        raise InputError(f'{folder}: no such folder')
    notes = []
    manifest = _read_manifest(osp.join(folder, MANIFEST))
    names = ('background', *dump_classes(folder, classes))
    if classes is None and manifest is None:
        notes.append(f'no {MANIFEST}: taken to be the classes of VOC, '
                     '--classes names others')
    if not all(name.isprintable() for name in names):
        raise InputError(f'{folder}: a class name holds a control character')
    tags = None
    if image_list is not None:
        ids, tags = _read_tags(image_list, names[1:])
    elif osp.isfile(osp.join(folder, ID_LIST)):
        ids = read_id_list(osp.join(folder, ID_LIST), whole_lines=True)
    else:
        ids = find_ids(folder)
    if not ids:
        raise InputError(f'{folder}: no label PNG found')
    require_files(ids, folder, '.png', 'label')
    if scores is None and use_scores:
        inside = osp.join(folder, SCORES)
        scores = inside if osp.isdir(inside) else None
    if not use_scores:
        scores = None
    if scores is None:
        notes.append('no scores: the threshold curve and the score histogram '
                     'are left out (keep_scores=True of the hook saves them)')
    elif not osp.isdir(scores):
        raise InputError(f'{scores}: no such folder')
    else:
        require_files(ids, scores, '.npz', 'scores (--no-scores does without)')
    return DumpInfo(folder, sorted(ids), names, tags, scores, manifest or {},
                    tuple(notes))


def require_files(ids: Sequence[str], folder: str, suffix: str,
                  what: str) -> None:
    """All images have a file in ``folder``.

    Args:
        ids (Sequence[str]): Image ids.
        folder (str): Where to look.
        suffix (str): Ending of the files.
        what (str): What they are, for the message.

    Raises:
        InputError: How many are missing, and the first three.
    """
    if not osp.isdir(folder):
        raise InputError(f'{folder}: no such folder')
    missing = [
        img_id for img_id in ids
        if not osp.isfile(output_path(folder, img_id, suffix))
    ]
    if missing:
        names = ', '.join(missing[:3]) + (', ...' if len(missing) > 3 else '')
        raise InputError(f'{folder}: {len(missing)} of {len(ids)} images '
                         f'have no {what}: {names}')


def dump_classes(folder: str,
                 classes: Optional[str] = None) -> Tuple[str, ...]:
    """Names of the classes of a folder of label images, no background.

    Args:
        folder (str): Label PNGs, with or without ``manifest.json``.
        classes (str, optional): As :func:`class_names` takes it. Defaults
            to the manifest's classes and, without a manifest, ``'voc'``.

    Returns:
        tuple[str]: The names.

    Raises:
        InputError: A manifest that is damaged, or none of these.
    """
    if classes is None:
        manifest = _read_manifest(osp.join(folder, MANIFEST))
        if manifest is not None:
            return tuple(manifest['classes'][1:])
    return class_names(classes or 'voc')


def _read_manifest(path: str) -> Optional[Dict[str, Any]]:
    """The manifest, None if there is none."""
    try:
        manifest = read_json(path)
    except FileNotFoundError:
        return None
    names = manifest.get('classes') if isinstance(manifest, dict) else None
    if not (isinstance(names, list) and 1 < len(names) <= _MAX_CLASSES + 1
            and all(isinstance(name, str) for name in names)):
        raise InputError(f"{path}: 'classes' must be a list of names, "
                         f'background first, then 1 to {_MAX_CLASSES}')
    return manifest


def _read_tags(
    path: str, classes: Sequence[str]
) -> Tuple[List[str], Optional[Dict[str, Tuple[int, ...]]]]:
    """Ids of a list, and its tags if it has any."""
    # brings mmpretrain in, which takes seconds
    from ..structures.image_list import read_image_list
    records = read_image_list(path, classes).records
    tags = {
        record.img_id: tuple(label + 1 for label in record.labels)
        for record in records
    }
    ids = [record.img_id for record in records]
    return ids, tags if any(tags.values()) else None
