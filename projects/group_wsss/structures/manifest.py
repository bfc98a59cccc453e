# Copyright (c) group_wsss contributors. All rights reserved.
"""Manifest: the description that a finished dump carries."""
import os.path as osp
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from ..utils.errors import InputError
from ..utils.files import read_json
from .label_image import IGNORE_INDEX
from .palette import palette_of

MANIFEST = 'manifest.json'
# letters of Manifest.supervision, in the order in which they are written
SUPERVISION = dict(
    I='image-level labels',
    S='saliency',
    L='language',
    A='foreign masks',
    D='self-supervised features',
    M='masks')
# one image id a line: the `ann_file` that mmseg wants in stage 2
ID_LIST = 'ids.txt'
# images without a label, and why
SKIPPED = 'skipped.txt'
# folder of score maps that were kept
SCORES = 'scores'
# labels are uint8; background and IGNORE_INDEX are no classes
MAX_CLASSES = IGNORE_INDEX - 1
# types of the values that may be null
_OPTIONAL: Dict[str, Any] = dict(
    labeler=dict,
    seed=int,
    duration_seconds=(int, float),
    unknown_share=(int, float),
    config=object)


@dataclass
class Manifest:
    """Contents of ``manifest.json``, which a finished dump alone has.

    Attributes:
        classes (list[str]): Name of each label, ``'background'`` first.
        palette (list[list[int]]): RGB of each label. Defaults to VOC's.
        images (int): Number of label images.
        pixels (dict[str, int]): Pixels by name of the label.
        unknown_pixels (int): Pixels without a label.
        unknown_share (float, optional): Of all pixels, in [0, 1]; None
            without any.
        unknown_label (int): Value of unknown pixels.
        supervision (list[str]): Letters of ``SUPERVISION``, what was used.
            Defaults to ``['I']``.
        labeler (dict, optional): Config of the labeler.
        refiners (list[dict]): Configs of the refiners, in order.
        chosen_thresholds (list[float]): Those that rules chose from the
            scores, in the order of the steps.
        skipped (list[str]): Ids of images without a label.
        checkpoint (dict): ``name`` and ``sha256``, both None if unknown.
        seed (int, optional): Of the run.
        duration_seconds (float, optional): Of the run.
        versions (dict[str, str or None]): Of the software.
        config (Any): Of the run, a text or a dict.
        image_paths (dict[str, str]): Path of the image by id, relative to
            the folder of the images, as far as it was known.
    """
    classes: List[str]
    palette: List[List[int]] = field(default_factory=list)
    images: int = 0
    pixels: Dict[str, int] = field(default_factory=dict)
    unknown_pixels: int = 0
    unknown_share: Optional[float] = None
    unknown_label: int = IGNORE_INDEX
    supervision: List[str] = field(default_factory=lambda: ['I'])
    labeler: Optional[Dict[str, Any]] = None
    refiners: List[Any] = field(default_factory=list)
    chosen_thresholds: List[float] = field(default_factory=list)
    skipped: List[str] = field(default_factory=list)
    checkpoint: Dict[str, Optional[str]] = field(
        default_factory=lambda: dict(name=None, sha256=None))
    seed: Optional[int] = None
    duration_seconds: Optional[float] = None
    versions: Dict[str, Optional[str]] = field(default_factory=dict)
    config: Any = None
    image_paths: Dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str) -> 'Manifest':
        """Read ``manifest.json``; unknown keys are left out.

        Args:
            path (str): The file, or the folder of a dump.

        Returns:
            Manifest: Checked: whatever reads it may rely on the types.

        Raises:
            InputError: Missing, or not the manifest of a dump.
        """
        if not path.endswith('.json'):
            path = osp.join(path, MANIFEST)
        try:
            content = read_json(path)
        except FileNotFoundError:
            raise InputError(f'{path}: no such file: a finished dump of '
                             'stage 1 has it') from None
        content = content if isinstance(content, dict) else {}
        names = content.get('classes')
        if not (isinstance(names, list) and 2 <= len(names) <= MAX_CLASSES + 1
                and all(isinstance(name, str) and name
                        for name in names) and names[0] == 'background'
                and len(set(names)) == len(names)):
            raise InputError(f"{path}: 'classes' must be a list of names, "
                             f"'background' first, then 1 to {MAX_CLASSES}, "
                             'each once')
        manifest = cls(names, palette_of(names[1:])[:len(names)].tolist())
        for name, default in vars(manifest).items():
            value = content.get(name, default)
            kinds = _OPTIONAL.get(name, type(default))
            if not isinstance(value, kinds) and value is not default:
                raise InputError(f'{path}: {name!r} is a '
                                 f'{type(value).__name__}')
            setattr(manifest, name, value)
        if not all(isinstance(x, str) for x in manifest.image_paths.values()):
            raise InputError(f"{path}: 'image_paths' must be names of files")
        if not all(letter in SUPERVISION for letter in manifest.supervision):
            raise InputError(f"{path}: 'supervision' must be letters of "
                             f'{"".join(SUPERVISION)}')
        if len(manifest.palette) != len(names) or not all(
                isinstance(colour, list) and len(colour) == 3 and all(
                    type(value) is int and 0 <= value <= 255
                    for value in colour) for colour in manifest.palette):
            raise InputError(f"{path}: 'palette' must be one [red, green, "
                             'blue] for each class, 0 to 255')
        return manifest

    @classmethod
    def find(cls, folder: str) -> Optional['Manifest']:
        """Read the manifest of a folder; None if it has none.

        Args:
            folder (str): A dump, or a foreign folder of label images.

        Raises:
            InputError: There is one, and it is damaged.
        """
        path = osp.join(folder, MANIFEST)
        return cls.read(path) if osp.lexists(path) else None

    @property
    def bg_threshold(self) -> Optional[float]:
        """float, optional: Background threshold of the labels, in [0, 1];
        None unless a ``ThresholdLabeler`` made them.
        """
        labeler = self.labeler or {}
        if str(labeler.get('type')).split('.')[-1] != 'ThresholdLabeler':
            return None
        value = labeler.get('bg_threshold')
        if isinstance(value, str) and self.chosen_thresholds:
            # a rule; the labeler is the last step that may have one
            value = self.chosen_thresholds[-1]
        if isinstance(value, (int, float)) and 0 <= value <= 1:
            return float(value)
        return None
