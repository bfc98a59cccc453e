# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional, Tuple, Union

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import DefaultScope

from ...registry import TASK_UTILS
from ...structures.score_map import ScoreMap, resize_maps
from ...utils.errors import InputError
from ..options import check_options
from .background import BackgroundRefiner, remove_background
from .network import image_pipeline, load_network, shrunk

# logits of a strip: 64 MiB
STRIP = 2**24


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
        max_pixels (int): Scores of an image of more pixels are made at a
            smaller size, as the network sees it smaller anyway; labels are
            of its size all the same. Defaults to 2**22.

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
                 device: Optional[str] = None,
                 max_pixels: int = 2**22) -> None:
        check_options(
            'Segmentor',
            map_weight=(map_weight, map_weight >= 0, '>= 0'),
            max_pixels=(max_pixels, max_pixels >= 1, '>= 1'))
        self.max_pixels = max_pixels
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
        self.pipeline = image_pipeline(pipeline, self.scope)

    @torch.no_grad()
    def logits(self,
               image: np.ndarray,
               size: Optional[Tuple[int, int]] = None,
               resize: bool = True) -> torch.Tensor:
        """Predict the logits of an image.

        Args:
            image (np.ndarray): uint8 RGB ``(H, W, 3)``.
            size (tuple[int, int], optional): Height and width of the result.
                Defaults to None, those of the image.
            resize (bool): False gives the size that the network sees.
                Defaults to True.

        Returns:
            Tensor: ``(C + 1, H, W)``, on the CPU.
        """
        with DefaultScope.overwrite_default_scope(self.scope):
            seen: Any = self.pipeline(image)
            # what mmseg resizes logits to
            shape: Any = size or image.shape[:2]
            if not resize:
                shape = seen['inputs'].shape[-2:]
            seen['data_samples'].set_metainfo(dict(ori_shape=tuple(shape)))
            sample = self.net.test_step(pseudo_collate([seen]))[0]
        return sample.seg_logits.data.float().cpu()

    def label(self, image: np.ndarray) -> np.ndarray:
        """Predict the strongest class of each pixel.

        Logits of a large image, more than ``STRIP`` values, are made a strip
        of columns at a time; where two classes are equal up to rounding the
        label may then differ from mmseg's.

        Args:
            image (np.ndarray): uint8 RGB ``(H, W, 3)``.

        Returns:
            np.ndarray: uint8 ``(H, W)``, 0 the first class.
        """
        height, width = image.shape[:2]
        count = -(-len(self.classes or '1') * height * width // STRIP)
        if count < 2:
            return self.logits(image).argmax(0).numpy().astype(np.uint8)

        def resize(part: torch.Tensor, size: Tuple[int, int]) -> torch.Tensor:
            return F.interpolate(
                part[None],
                size,
                mode='bilinear',
                align_corners=self.net.align_corners)[0]

        wide = self.logits(image, resize=False)
        wide = resize(wide, (wide.shape[1], width))
        label = np.empty((height, width), dtype=np.uint8)
        for columns in np.array_split(np.arange(width), count):
            part = wide[:, :, columns[0]:columns[-1] + 1]
            part = resize(part, (height, len(columns)))
            label[:, columns] = part.argmax(0).numpy()
        return label

    def refine(self,
               maps: np.ndarray,
               image: Any = None,
               class_ids: Optional[np.ndarray] = None) -> np.ndarray:
        """See :class:`BaseRefiner`; the result has the image's size, or
        ``max_pixels``.

        Args:
            maps (np.ndarray): float32 ``(n, h, w)``.
            image (np.ndarray, optional): The image; needed.
            class_ids (np.ndarray, optional): The ``n`` classes, 0-based;
                needed.
        """
        logits = self.logits(image, shrunk(image.shape, self.max_pixels))
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

    def refined(self, score_map: ScoreMap, image: Any = None) -> np.ndarray:
        """See :class:`BaseRefiner`."""
        return self.refine(score_map.maps, image, score_map.class_ids)
