# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional, Sequence, Union

import numpy as np
import torch
import torch.nn.functional as F

from ...registry import MODELS, TASK_UTILS
from ..options import check_options
from .background import BackgroundRefiner, remove_background


@TASK_UTILS.register_module()
class PixelAdaptive(BackgroundRefiner):
    """Smooth scores within regions of one colour (PAR, PAMR).

    Background and classes flow between neighbouring pixels of the
    image as in ``PixelAdaptiveRefinement``, which has the equations.
    The result has the size at which this ran. On a CPU it is the same bit
    for bit for the same number of threads; another number may change the
    last bit, as it does in any bilinear resize by torch.

    Args:
        dilations (Sequence[int]): Distances of the neighbours in pixels of
            the working size. Defaults to (1, 2, 4, 8, 12, 24).
        num_iters (int): Iterations. Defaults to 10.
        w1 (float): Bandwidth in standard deviations of the colour. Defaults
            to 0.3.
        w2 (float): Weight of the positions. Defaults to 0.01.
        distance (str): ``'square'`` (PAR) or ``'absolute'`` (PAMR). Defaults
            to ``'square'``.
        center (bool): Count the pixel itself in its deviation (PAMR).
            Defaults to False.
        bg_threshold (float | str): Score at which a class and background are
            equally likely; afterwards they are at 0.5. Defaults to 0.35.
        bg_power (float, optional): Background is ``(1 - max_c s_c) **
            bg_power`` instead. Defaults to None.
        downscale (int): Run at the size of the image divided by this
            (rounded up). Defaults to 2, an eighth of the time of 1.
        device (str, optional): Where to run. Defaults to None, which means
            CUDA if there is one; say ``'cpu'`` in worker processes.

    Raises:
        InputError: If an option has a value that it cannot have.
    """

    def __init__(self,
                 dilations: Sequence[int] = (1, 2, 4, 8, 12, 24),
                 num_iters: int = 10,
                 w1: float = 0.3,
                 w2: float = 0.01,
                 distance: str = 'square',
                 center: bool = False,
                 bg_threshold: Union[float, str] = 0.35,
                 bg_power: Optional[float] = None,
                 downscale: int = 2,
                 device: Optional[str] = None) -> None:
        self.set_background(bg_threshold, bg_power)
        check_options(
            'PixelAdaptive',
            downscale=(downscale, downscale
                       in range(1, 1 << 16), 'a whole number >= 1'))
        # by its name: loads the models only where one is built
        self.layer = MODELS.build(
            dict(
                type='group_wsss.PixelAdaptiveRefinement',
                dilations=dilations,
                num_iters=num_iters,
                w1=w1,
                w2=w2,
                distance=distance,
                center=center))
        self.downscale = downscale
        self.device = device

    @torch.no_grad()
    def refine(self, maps: np.ndarray, image: Any = None) -> np.ndarray:
        """See :class:`BaseRefiner`; the result has the image's size divided
        by ``downscale``.
        """
        device = self.device or ('cuda'
                                 if torch.cuda.is_available() else 'cpu')
        size = [-(-side // self.downscale) for side in image.shape[:2]]
        pixels = torch.from_numpy(np.array(image)).to(device)
        pixels = pixels.permute(2, 0, 1)[None].float()
        if self.downscale > 1:
            pixels = F.interpolate(pixels, size=size, mode='area')
        scores = torch.from_numpy(np.array(maps, np.float32))[None].to(device)
        scores = F.interpolate(
            scores, size=size, mode='bilinear',
            align_corners=False)[0].clamp_(0, 1)
        probs = self.probabilities(scores.cpu().numpy())
        probs = self.layer(pixels, torch.from_numpy(probs)[None].to(device))
        return remove_background(probs[0].cpu().numpy())
