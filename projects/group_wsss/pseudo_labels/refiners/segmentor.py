# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional, Union

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import DefaultScope

from ...registry import TASK_UTILS
from ...structures.score_map import ScoreMap, resize_maps
from ...utils.errors import InputError
from .background import BackgroundRefiner, remove_background
from .base import check_image
from .network import load_network


@TASK_UTILS.register_module()
class Segmentor(BackgroundRefiner):
    """Ask a segmentation network that learnt from earlier labels.

    Self-training with the tags still known: a stock mmseg network that was
    trained on a dump reads the image, all classes that are not among
    its tags are left out, and what remains is multiplied with the class
    maps, as two opinions on each pixel::

        p_c  ~  maps_c ** map_weight * softmax(logits)_c

    The network sees each image through the config's ``test_pipeline``,
    less what loads files.

    Args:
        config (str | dict): Config of the network, or its path.
        checkpoint (str): Its trained weights; read without running code.
        map_weight (float): Exponent of the class maps; 0 leaves them out.
            Defaults to 1.0.
        bg_threshold (float | str): Score of the class maps at which a class
            and background are equally likely. Defaults to 0.5.
        bg_power (float, optional): Background is ``(1 - max_c s_c) **
            bg_power`` instead. Defaults to None.
        device (str, optional): Defaults to None, a GPU if there is one.

    Raises:
        InputError: A config or checkpoint that is missing or does not fit,
            or an option that is out of its range.
    """

    def __init__(self,
                 config: Union[str, dict],
                 checkpoint: str,
                 map_weight: float = 1.0,
                 bg_threshold: Union[float, str] = 0.5,
                 bg_power: Optional[float] = None,
                 device: Optional[str] = None) -> None:
        if not map_weight >= 0:
            raise InputError(
                f'map_weight of Segmentor is {map_weight}, must be >= 0')
        self.set_background(bg_threshold, bg_power)
        self.map_weight = map_weight
        net, config, names = load_network(config, checkpoint, 'Segmentor')
        self.net: Any = net
        # compared with those of the labels
        self.checkpoint, self.classes = checkpoint, names
        self.net.to(torch.device(device or get_device()))
        self.scope = config.get('default_scope', 'mmseg')
        pipeline = config.get('test_pipeline')
        if not hasattr(self.net, 'encode_decode') or not pipeline:
            raise InputError(
                'config of Segmentor must be that of an mmseg segmentor, with '
                f'test_pipeline; its model is {type(self.net).__name__}')
        with DefaultScope.overwrite_default_scope(self.scope):
            self.pipeline = Compose(
                [step for step in pipeline if 'Load' not in step['type']])

    @torch.no_grad()
    def logits(self, image: np.ndarray) -> torch.Tensor:
        """Predict the logits of an image.

        Args:
            image (np.ndarray): uint8 RGB ``(H, W, 3)``.

        Returns:
            Tensor: ``(C + 1, H, W)``, on the CPU.
        """
        shape = image.shape[:2]
        data: dict = dict(
            img=np.ascontiguousarray(image[:, :, ::-1]),
            img_path=None,
            img_shape=shape,
            ori_shape=shape,
            reduce_zero_label=False,
            seg_fields=[])
        with DefaultScope.overwrite_default_scope(self.scope):
            batch = pseudo_collate([self.pipeline(data)])
            sample = self.net.test_step(batch)[0]
        return sample.seg_logits.data.float().cpu()

    def refine(self,
               maps: np.ndarray,
               image: Any = None,
               class_ids: Optional[np.ndarray] = None) -> np.ndarray:
        """See :class:`BaseRefiner`; the result has the image's size.

        Args:
            maps (np.ndarray): float32 ``(n, h, w)``.
            image (np.ndarray, optional): The image; needed.
            class_ids (np.ndarray, optional): The ``n`` classes, 0-based;
                needed.
        """
        logits = self.logits(image)
        rows = np.concatenate([[0], np.asarray(class_ids) + 1])
        if rows.max() >= len(logits):
            raise InputError(
                f'class id {rows.max() - 1}: the network of Segmentor has '
                f'{len(logits)} classes with background')
        log_probs = logits[torch.from_numpy(rows)].log_softmax(dim=0)
        if self.map_weight:
            height, width = log_probs.shape[-2:]
            maps = resize_maps(maps, (height, width))
            probs = self.probabilities(maps)
            # a map of 0 is a strong opinion, not a certainty
            log_maps = torch.from_numpy(probs).clamp_(min=1e-4).log_()
            log_probs = log_probs + self.map_weight * log_maps
        return remove_background(log_probs.softmax(dim=0).numpy())

    def __call__(self,
                 score_map: ScoreMap,
                 image: Optional[np.ndarray] = None) -> ScoreMap:
        """See :class:`BaseRefiner`."""
        check_image(image, score_map)
        if not len(score_map.maps):
            return score_map
        maps = self.refine(score_map.maps, image, score_map.class_ids)
        return self.checked(score_map, maps)
