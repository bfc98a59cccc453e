# Copyright (c) group_wsss contributors. All rights reserved.
import hashlib
from collections import OrderedDict
from itertools import chain
from typing import Any, Dict, Optional, Tuple

import torch
from mmengine.model import BaseModule
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from ..utils import to_channels_last


@MODELS.register_module()
class FeatureCache(BaseModule):
    """Remember what a frozen backbone said of an image.

    A frozen backbone gives the same maps each time it sees the same pixels:
    in every epoch, and for every group that an image is a partner in. The
    key is a digest of the input's bytes, so an augmentation that changes a
    pixel is a miss and the result is always that of the backbone. While the
    backbone trains (train mode, or a parameter with a gradient) nothing is
    looked up or kept; when its weights change, everything is forgotten. Its
    weights lie with the channels of a pixel side by side (channels last), by
    which a CPU is faster.

    Args:
        backbone (dict): The backbone, any output of a tensor or a tuple of
            tensors ``(B, C, h, w)``.
        max_bytes (int): Memory for maps; the least recently used leave
            first. Defaults to 1 GiB.
        exact (bool): Run the backbone on one image at a time, so that maps do
            not depend on the batch in which an image came first: kernels
            round differently for different batch sizes. Defaults to True.
        pretrained (str, optional): Handed to the backbone. mmseg's segmentors
            put the ``pretrained`` of a config into what it calls the
            backbone. Defaults to None, nothing is handed on.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Attributes:
        keeping (bool): Whether maps of new images are kept. An owner sets it
            to False where images do not come again.

    Raises:
        InputError: If ``max_bytes`` is not positive.
    """

    def __init__(self,
                 backbone: dict,
                 max_bytes: int = 2**30,
                 exact: bool = True,
                 pretrained: Optional[str] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if max_bytes <= 0:
            raise InputError(
                f'max_bytes of FeatureCache is {max_bytes}, must be > 0')
        if pretrained is not None:
            backbone = dict(backbone, pretrained=pretrained)
        self.backbone = MODELS.build(backbone)
        to_channels_last(self.backbone)
        self.max_bytes = max_bytes
        self.exact = exact
        self.keeping = True
        self.hits = self.misses = self.bytes = 0
        self._maps: 'OrderedDict[bytes, Tuple[Tensor, ...]]' = OrderedDict()
        self._weights: Tuple = ()

    def clear(self) -> None:
        """Forget everything."""
        self._maps.clear()
        self.hits = self.misses = self.bytes = 0

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Maps of a batch, from memory where possible.

        Args:
            x (Tensor): ``(B, 3, H, W)``.

        Returns:
            tuple[Tensor]: As the backbone gives them.
        """
        if not self._frozen() or x.requires_grad:
            return self._run(x)
        weights = self._weights_state()
        if weights != self._weights:
            self.clear()  # maps of other weights are worth nothing
            self._weights = weights
        rows = x.detach().cpu().contiguous()
        # under autocast maps have another type, and are rounded
        one = x.new_ones(1, 1)
        dtype = (one @ one).dtype
        keys = [self._key(row, dtype) for row in rows]
        found: Dict[bytes, Tuple[Tensor, ...]] = {}
        new: Dict[bytes, Tensor] = {}
        for key, image in zip(keys, x):
            if key in self._maps:
                self.hits += 1
                self._maps.move_to_end(key)
                found[key] = self._maps[key]
            else:
                new.setdefault(key, image)
        self.misses += len(new)
        step = 1 if self.exact else max(len(new), 1)
        for start in range(0, len(new), step):
            part = list(new)[start:start + step]
            maps = self._run(torch.stack([new[key] for key in part]))
            for i, key in enumerate(part):
                found[key] = tuple(m[i].clone() for m in maps)
                self._keep(key, found[key])
        # as the backbone lays them out, or what reads them rounds otherwise
        return tuple(
            torch.stack(level).contiguous(memory_format=torch.channels_last)
            for level in zip(*(found[k] for k in keys)))

    def _run(self, x: Tensor) -> Tuple[Tensor, ...]:
        maps = self.backbone(x)
        return (maps, ) if isinstance(maps, Tensor) else tuple(maps)

    def _frozen(self) -> bool:
        """Tell whether nothing in the backbone trains."""
        return not (any(m.training for m in self.modules())
                    or any(p.requires_grad for p in self.parameters()))

    def _weights_state(self) -> Tuple:
        """Changes when weights are loaded, moved or written to."""
        tensors = chain(self.parameters(), self.buffers())
        return tuple((t.data_ptr(), t._version) for t in tensors)

    def __getstate__(self) -> dict:
        """Copies and pickles start empty."""
        return dict(
            self.__dict__,
            _maps=OrderedDict(),
            _weights=(),
            hits=0,
            misses=0,
            bytes=0)

    @staticmethod
    def _key(row: Tensor, dtype: torch.dtype) -> bytes:
        head = f'{tuple(row.shape)}{row.dtype}{dtype}'.encode()
        data: Any = row.view(torch.uint8).numpy()
        return hashlib.blake2b(data, digest_size=16, key=head[:64]).digest()

    def _keep(self, key: bytes, maps: Tuple[Tensor, ...]) -> None:
        size = sum(m.numel() * m.element_size() for m in maps)
        if size > self.max_bytes or not self.keeping:
            return
        self._maps[key] = maps
        self.bytes += size
        while self.bytes > self.max_bytes:
            _, old = self._maps.popitem(last=False)
            self.bytes -= sum(m.numel() * m.element_size() for m in old)
