# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, List, NamedTuple, Optional, Sequence, Union

import cv2
import numpy as np

from ...registry import TASK_UTILS
from ...structures.label_image import IGNORE_INDEX, read_index_png
from ...structures.manifest import Manifest
from ...structures.score_map import ScoreMap
from ...utils.errors import InputError
from ...utils.files import output_path
from ..features import BackboneFeatures
from ..options import check_options
from ..prototypes import Prototypes, region_feature
from .background import BackgroundRefiner

# scores of what is decided, and of what is left open
DECIDED, OPEN = 1.0, 0.5


class Verdict(NamedTuple):
    """What became of a foreign region.

    Attributes:
        mask (np.ndarray): bool ``(H, W)``.
        named (int): Class id that it came with.
        by_map (int): Class id that the class maps tell against that name;
            the name itself if they do not.
        by_others (int): Class id that other images tell, likewise.
        class_id (int, optional): The decision; None is unknown.
    """
    mask: np.ndarray
    named: int
    by_map: int
    by_others: int
    class_id: Optional[int]


@TASK_UTILS.register_module()
class Judge(BackgroundRefiner):
    """Check the names of foreign masks by two independent witnesses.

    A foreign region is a connected part of one label in a dump of
    ``tools/import_masks.py``. The first witness is the class map: the tag
    with the largest mean in the region. The second is other images: the tag
    whose prototypes there (``tools/make_prototypes.py``) are nearest to the
    mean key of the region, by the key of co-attention or, without one, by
    the frozen backbone. A witness speaks against a name if another tag is
    ahead of it by more than a margin. Small regions keep theirs.

    - **Keep** the name unless both speak against it. A tag without a
      prototype in another image has no second witness.
    - **Relabel** if both tell the same other tag.
    - **Unknown** if they tell two other tags.
    - **Add** from the class map, where it is stronger than background and no
      foreign mask lies, a tag that no region has in the end.

    What is decided has the score 1, what is unknown 0.5 for its name, all
    else 0: a ``ThresholdLabeler`` with ``bg_threshold=0.5`` and a ``margin``
    makes the labels.

    Args:
        foreign_dir (str): The dump of foreign masks.
        prototypes (str): File of ``tools/make_prototypes.py``.
        config (str | dict): Config of stage 1 that these were made with, or
            its path.
        checkpoint (str): Its weights.
        map_margin (float): Lead of another tag, as a difference of mean
            scores. Defaults to 0.0.
        margin (float): Lead of another tag, as a difference of mean cosines.
            Defaults to 0.35.
        min_region (float): Share of the image below which a region keeps its
            name. Defaults to 0.01.
        nearest (int): Prototypes of a class that count. Defaults to 5.
        bg_threshold (float | str): Score at which a class and background are
            equally likely, or a rule, for what is added. Defaults to 0.35.
        device (str, optional): Defaults to None, a GPU if there is one.

    Raises:
        InputError: A file is missing or damaged, or an option has a value
            that it cannot have.
    """

    def __init__(self,
                 foreign_dir: str,
                 prototypes: str,
                 config: Union[str, dict],
                 checkpoint: str,
                 map_margin: float = 0.0,
                 margin: float = 0.35,
                 min_region: float = 0.01,
                 nearest: int = 5,
                 bg_threshold: Union[float, str] = 0.35,
                 device: Optional[str] = None) -> None:
        check_options(
            'Judge',
            nearest=(nearest, nearest >= 1, '>= 1'),
            map_margin=(map_margin, map_margin >= 0, '>= 0'),
            margin=(margin, margin >= 0, '>= 0'),
            min_region=(min_region, min_region >= 0, '>= 0'))
        self.set_background(bg_threshold)
        self.foreign_dir = foreign_dir
        self.map_margin = map_margin
        self.margin = margin
        self.min_region = min_region
        self.nearest = nearest
        self.prototypes = Prototypes.load(prototypes)
        self.features = BackboneFeatures(config, checkpoint, device, keys=True)

    @property
    def supervision(self) -> str:  # type: ignore[override]
        """str: That of the backbone and of the foreign masks, ``'A'``
        without a manifest."""
        manifest = Manifest.find(self.foreign_dir)
        letters = ['A'] if manifest is None else manifest.supervision
        return ''.join([self.features.supervision, *letters])

    def refine(self, maps: np.ndarray, image: Any = None) -> np.ndarray:
        """Not of arrays: the files are found by the image id."""
        raise InputError('Judge finds its files by the image id: call it '
                         'with a ScoreMap')

    def verdicts(self, score_map: ScoreMap, label: np.ndarray,
                 features: np.ndarray) -> List[Verdict]:
        """Judge every foreign region of an image.

        Args:
            score_map (ScoreMap): Class maps of its tags, at image size.
            label (np.ndarray): The foreign label, uint8 ``(H, W)``.
            features (np.ndarray): Keys of the image, float32 ``(C, h, w)``.

        Returns:
            list[Verdict]: By class, from top to bottom.
        """
        ids, found = score_map.class_ids, []
        for place, named in enumerate(ids.tolist()):
            count, parts = cv2.connectedComponents(
                (label == named + 1).astype(np.uint8), connectivity=8)
            for number in range(1, count):
                mask = parts == number
                if mask.mean() < self.min_region:
                    found.append(Verdict(mask, named, named, named, named))
                    continue
                means = [one[mask].mean() for one in score_map.maps]
                alike = self.prototypes.similarities(
                    region_feature(features, mask), ids, score_map.img_id,
                    self.nearest)
                by_map = int(ids[_ahead(means, place, self.map_margin)])
                by_others = int(ids[_ahead(alike, place, self.margin)])
                decision: Optional[int] = named
                if named not in (by_map, by_others):
                    decision = by_map if by_map == by_others else None
                found.append(Verdict(mask, named, by_map, by_others, decision))
        return found

    def refined(self, score_map: ScoreMap, image: Any = None) -> np.ndarray:
        """Judge the foreign masks of an image.

        Args:
            score_map (ScoreMap): Of any size.
            image (np.ndarray): uint8 RGB ``(H, W, 3)``.

        Returns:
            np.ndarray: Scores at image size.

        Raises:
            InputError: The foreign label is missing or of another size, or
                features have another width than those of the prototypes.
        """
        path = output_path(self.foreign_dir, score_map.img_id, '.png')
        label = read_index_png(path)
        if label.shape != score_map.ori_shape:
            raise InputError(f'{path}: a label of {label.shape} pixels '
                             '(height, width) for an image of '
                             f'{score_map.ori_shape}')
        features = self.features(image)
        if len(features) != self.prototypes.features.shape[1]:
            raise InputError(
                f'prototypes of Judge have {self.prototypes.features.shape[1]}'
                f' numbers, its backbone gives {len(features)}')
        large = score_map.resize()
        places = {c: i for i, c in enumerate(large.class_ids.tolist())}
        scores = np.zeros_like(large.maps)
        for verdict in self.verdicts(large, label, features):
            if verdict.class_id is None:
                scores[places[verdict.named], verdict.mask] = OPEN
            else:
                scores[places[verdict.class_id], verdict.mask] = DECIDED
        scores[:, label == IGNORE_INDEX] = OPEN
        probs = self.probabilities(large.maps)
        best = np.where(label == 0, probs.argmax(axis=0), 0)
        for place in places.values():
            if not (scores[place] == DECIDED).any():
                scores[place, best == place + 1] = DECIDED
        return scores


def _ahead(values: Sequence[float], place: int, margin: float) -> int:
    """Place of the largest value if it leads by more than a margin."""
    best = int(np.argmax(values))
    # of -inf nobody is ahead
    ahead = np.isfinite(values).all() and (values[best] - values[place]
                                           > margin)
    return best if ahead else place
