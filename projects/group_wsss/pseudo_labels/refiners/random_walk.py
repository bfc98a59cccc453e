# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional, Union

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.device import get_device
from torch import Tensor

from ...registry import TASK_UTILS
from ...utils.errors import InputError
from ...utils.pairs import Offset, pair_offsets, pair_windows
from .background import BackgroundRefiner, remove_background
from .network import load_network


@TASK_UTILS.register_module()
class RandomWalk(BackgroundRefiner):
    """Spread class maps over cells that a trained network finds alike.

    AffinityNet of PSA (Ahn and Kwak, CVPR 2018) reads the image; the
    maps of background and of all classes walk at random over its grid and
    change places with neighbours as often as the affinity ``a_ij ** beta``
    says. Train the network with a config of ``configs/affinity``. ::

        dict(
            type='group_wsss.RandomWalk',
            config='configs/affinity/affinity_effnet-lite0_voc-layout.py',
            checkpoint='work_dirs/affinity/iter_150.pth')

    Args:
        config (str | dict): Config with the ``model``, or its path.
        checkpoint (str): The trained weights; read without running code.
        beta (float): Exponent of the affinities: a larger one keeps maps
            from leaking over weak borders. Defaults to 8.
        num_steps (int): Steps of the walk. Defaults to 64.
        radius (float): Neighbours are less than so many cells away.
            Defaults to 5.
        bg_threshold (float | str): Score at which a class and background
            are equally likely, or a rule that chooses it, such as
            ``'otsu'``. Defaults to 0.5.
        bg_power (float, optional): Background is ``(1 - max) ** bg_power``
            instead, as in PSA. Defaults to None.
        power (float): The probabilities are raised to it before they walk.
            At 1, as in PSA, a large background soon seeps into weak
            classes, and the best threshold sinks with every step; surer
            ones stay on their side of 0.5. Defaults to 4.
        max_bytes (int): Memory for the walk; the network's own grows with
            ``max_pixels``. Defaults to 1 GiB.
        max_pixels (int): An image of more pixels is made smaller for
            the network. Defaults to 2**22.
        device (str, optional): Defaults to None, a GPU if there is one.

    Raises:
        InputError: A config or checkpoint that is missing or does not fit,
            or an option that is out of its range.
    """

    def __init__(self,
                 config: Union[str, dict],
                 checkpoint: str,
                 beta: float = 8.0,
                 num_steps: int = 64,
                 radius: float = 5,
                 bg_threshold: Union[float, str] = 0.5,
                 bg_power: Optional[float] = None,
                 power: float = 4.0,
                 max_bytes: int = 2**30,
                 max_pixels: int = 2**22,
                 device: Optional[str] = None) -> None:
        good = dict(
            beta=beta > 0,
            num_steps=num_steps >= 1,
            radius=radius > 1,
            power=power > 0,
            max_pixels=max_pixels >= 1)
        given = locals()
        for name, value in good.items():
            if not value:
                raise InputError(
                    f'{name} of RandomWalk cannot be {given[name]}')
        self.set_background(bg_threshold, bg_power)
        self.beta = beta
        self.num_steps = int(num_steps)
        self.offsets = pair_offsets(radius)
        self.power = power
        self.max_bytes = int(max_bytes)
        self.max_pixels = max_pixels
        self.device = torch.device(device or get_device())
        self.net: Any = load_network(config, checkpoint, 'RandomWalk')[0]
        if not hasattr(getattr(self.net, 'head', None), 'log_affinity'):
            raise InputError('config of RandomWalk builds '
                             f'{type(self.net).__name__}, not an AffinityNet')
        self.net.to(self.device)

    @torch.no_grad()
    def embed(self, image: np.ndarray) -> Tensor:
        """Embedding of an image.

        Args:
            image (np.ndarray): uint8 RGB ``(H, W, 3)``.

        Returns:
            Tensor: ``(C, h, w)``.
        """
        # as a pipeline gives it: BGR, channels first
        pixels = torch.from_numpy(
            np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)))
        height, width = pixels.shape[-2:]
        shrink = (self.max_pixels / (height * width))**0.5
        if shrink < 1:
            shrunk = [max(int(side * shrink), 1) for side in size]
            pixels = F.interpolate(
                pixels[None].float(), size=shrunk, mode='area')[0]
        data = dict(inputs=[pixels], data_samples=None)
        inputs = self.net.data_preprocessor(data, False)['inputs']
        return self.net(inputs)[0]

    @torch.no_grad()
    def refine(self, maps: np.ndarray, image: Any = None) -> np.ndarray:
        """See :class:`BaseRefiner`; the result has the network's grid."""
        assert image is not None, 'RandomWalk reads the image'
        embedding = self.embed(image)
        maps = F.interpolate(
            torch.from_numpy(maps)[None],
            size=embedding.shape[-2:],
            mode='bilinear',
            align_corners=False)[0].clamp_(0, 1).numpy()
        probs = self.probabilities(maps)**self.power
        probs /= probs.sum(axis=0)
        walked = random_walk(
            torch.from_numpy(probs).to(self.device), embedding,
            self.net.head.log_affinity, self.offsets, self.beta,
            self.num_steps, self.max_bytes)
        return remove_background(walked.cpu().numpy())
