# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Union

import numpy as np

from ...registry import TASK_UTILS
from ...structures.regions import Regions, read_regions, regions_supervision
from ...structures.score_map import ScoreMap, resize_maps
from ...utils.errors import InputError
from ..options import check_options
from .background import BackgroundRefiner, remove_background

VOTES = ('mean', 'cover')


@TASK_UTILS.register_module()
class RegionVote(BackgroundRefiner):
    """Scores that are constant in regions of the image.

    Regions have no class and come from a file, whoever made it: superpixels,
    Segment Anything. They may overlap. With ``a_c`` the maps at image size
    and ``|m|`` the pixels of region ``m``, the score of a class in a region
    follows one of two published rules, and that of a pixel is the largest of
    its regions.

    - ``'mean'`` (SAMS of FMA-WSSS): the mean of ``a_c`` in ``m``, divided by
      the largest such mean of the class in the image. Pixels without a
      region have 0; an image without any region keeps its maps. A labeler
      behind it chooses the threshold.
    - ``'cover'`` (SEPL): ``P_c`` are the pixels where the class is stronger
      than background and all others. It takes ``m`` if ``q = |P_c and m| /
      |m| > region_share`` or ``r = |P_c and m| / |P_c| >= label_share``. The
      score is ``(1 + max(q, r)) / 2`` if it does, else ``q / 2``, so that
      taken is what is above 0.5; where two classes take the same pixels, the
      larger score tells. Pixels without a region keep ``P_c``, as scores
      that are equal with background at 0.5.

    The manifest has the letters that ``made_with.txt`` in the folder says
    (``tools/make_regions.py`` writes it: none for superpixels), and ``A``
    without that file.

    Args:
        regions_dir (str): Folder of ``<img_id>.npz`` or ``<img_id>.json``,
            see :func:`~group_wsss.structures.regions.read_regions`.
        vote (str): ``'mean'`` or ``'cover'``. Defaults to 'mean'.
        region_share (float): In [0, 1), of 'cover'. Defaults to 0.5.
        label_share (float): In (0, 1], of 'cover'. Defaults to 0.85.
        bg_threshold (float | str): Score at which a class and background are
            equally likely, or a rule, of 'cover'. Defaults to 0.35.

    Raises:
        InputError: If an option has a value that it cannot have.
    """

    needs_image = False

    def __init__(self,
                 regions_dir: str,
                 vote: str = 'mean',
                 region_share: float = 0.5,
                 label_share: float = 0.85,
                 bg_threshold: Union[float, str] = 0.35) -> None:
        check_options(
            'RegionVote',
            vote=(vote, vote in VOTES, f'one of {VOTES}'),
            region_share=(region_share, 0 <= region_share < 1, 'in [0, 1)'),
            label_share=(label_share, 0 < label_share <= 1, 'in (0, 1]'))
        self.set_background(bg_threshold)
        if vote == 'mean':  # nothing to wait for
            self.rule = None
        self.regions_dir = regions_dir
        self.vote = vote
        self.region_share = region_share
        self.label_share = label_share

    @property
    def supervision(self) -> str:  # type: ignore[override]
        """str: What the regions were made with."""
        return regions_supervision(self.regions_dir)

    def refine(self, maps: np.ndarray, image: Any = None) -> np.ndarray:
        """See :class:`BaseRefiner`, with regions in the image's place.

        Args:
            maps (np.ndarray): Resized to the image.
            image (Regions): Of the image.

        Raises:
            InputError: No regions.
        """
        if not isinstance(image, Regions):
            raise InputError('RegionVote finds its file by the image id: '
                             'call it with a ScoreMap, or refine with '
                             'Regions in place of the image')
        maps = resize_maps(maps, image.size)
        if self.vote == 'mean':
            return self._mean(maps, image)
        return self._cover(maps, image)

    def _mean(self, maps: np.ndarray, regions: Regions) -> np.ndarray:
        if not len(regions.areas):
            return maps
        means = regions.means(maps)
        peaks = means.max(axis=1, keepdims=True)
        # a map without a positive value stays 0
        return regions.paint(means / np.where(peaks > 0, peaks, 1))

    def _cover(self, maps: np.ndarray, regions: Regions) -> np.ndarray:
        probs = self.probabilities(maps)
        best = probs.argmax(axis=0)  # a tie is background
        own = np.stack([best == number for number in range(1, len(probs))])
        shares = regions.means(own)
        totals = own.sum(axis=(1, 2)).reshape(-1, 1)
        of_label = shares * regions.areas / np.maximum(totals, 1)
        taken = (shares > self.region_share) | (of_label >= self.label_share)
        scores = regions.paint(
            np.where(taken, (1 + np.maximum(shares, of_label)) / 2,
                     shares / 2))
        bare = np.ones(regions.size, dtype=bool)
        bare.ravel()[regions.pixels] = False
        return np.where(bare, remove_background(probs), scores)

    def refined(self, score_map: ScoreMap, image: Any = None) -> np.ndarray:
        """With the regions of its id, see :func:`read_regions`."""
        regions = read_regions(self.regions_dir, score_map.img_id,
                               score_map.ori_shape)
        return self.refine(score_map.maps, regions)
