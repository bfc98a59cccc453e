# Copyright (c) group_wsss contributors. All rights reserved.
import contextlib
import os
import sys
from typing import Any, Dict, Tuple

from mmpretrain.models.backbones import TIMMBackbone
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError


@MODELS.register_module()
class TIMMTransformer(TIMMBackbone):
    """Patches of a vision transformer of timm, as one feature map.

    ``mmpretrain.TIMMBackbone`` gives all tokens of such a model in a row.
    Here those in front of the patches (class token, registers) are left out
    and the others stand where they were in the image, after the model's last
    normalisation. Made for DINOv2 and DINOv3; timm must be installed, 1.0.20
    or later for DINOv3.

    ``init_cfg=dict(type='Pretrained', checkpoint=FILE)`` loads the weights
    as their authors or timm give them out, without running code. A file that
    lacks a weight, or has it in another shape, is refused.

    Args:
        model_name (str): As timm calls it. Defaults to
            ``'vit_small_patch14_reg4_dinov2'``.
        supervision (str): Letter of ``Manifest.supervision`` for what the
            weights know beside tags; ``''`` for those of ImageNet's labels.
            Defaults to ``'D'``, self-supervised.
        **kwargs: Further arguments of ``mmpretrain.TIMMBackbone``. An image
            may have any size that patches fill (``dynamic_img_size=True``).

    Raises:
        InputError: timm is missing, or does not know such a model.
    """

    def __init__(self,
                 model_name: str = 'vit_small_patch14_reg4_dinov2',
                 supervision: str = 'D',
                 **kwargs) -> None:
        try:
            import timm
        except ImportError as error:
            raise InputError(
                'TIMMTransformer needs `pip install timm`') from error
        kwargs.setdefault('dynamic_img_size', True)
        fault = InputError(
            f'timm {timm.__version__} has no vision transformer '
            f"{model_name!r}: check model_name, or `pip install "
            "'timm>=1.0.20'`")
        if not timm.is_model(model_name):
            raise fault
        try:
            super().__init__(model_name, num_classes=0, **kwargs)
        except TypeError as error:  # dynamic_img_size of something else
            raise fault from error
        if not hasattr(self.timm_model, 'forward_intermediates'):
            raise fault
        self.model_name = model_name
        self.supervision = supervision
        self.patch = tuple(self.timm_model.patch_embed.patch_size)

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Features of all patches.

        Args:
            x (Tensor): ``(B, 3, H, W)``.

        Returns:
            tuple[Tensor]: One map ``(B, C, H / P, W / P)`` for patches of
            ``P`` pixels a side.

        Raises:
            InputError: Patches do not fill the image.
        """
        height, width = x.shape[-2:]
        if height % self.patch[0] or width % self.patch[1]:
            raise InputError(
                f'{self.model_name} reads patches of {self.patch[0]} x '
                f'{self.patch[1]} pixels, which do not fill an image of '
                f'{height} x {width}: set image_size and tta_sizes (the '
                'scales of Resize) to multiples')
        return tuple(
            self.timm_model.forward_intermediates(
                x, indices=1, norm=True, intermediates_only=True))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args,
                              **kwargs) -> None:
        """Load; give the weights of others the names of ours first."""
        inner = prefix + 'timm_model.'
        theirs = {
            key[len(prefix):]: value
            for key, value in state_dict.items() if key.startswith(prefix)
        }
        if theirs and not any(key.startswith(inner) for key in state_dict):
            for key in theirs:
                del state_dict[prefix + key]
            for key, value in self._translate(theirs).items():
                state_dict[inner + key] = value
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _translate(self, weights: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Names and shapes by the rules that timm has for this model."""
        room: Any = sys.modules[type(self.timm_model).__module__]
        wanted = self.timm_model.state_dict()
        try:
            # it prints what it leaves out
            with open(os.devnull, 'w') as nowhere, \
                    contextlib.redirect_stdout(nowhere):
                found = room.checkpoint_filter_fn(
                    dict(weights), self.timm_model)
        except (AttributeError, KeyError, RuntimeError, ValueError):
            found = {}
        for key, value in wanted.items():
            if key not in found or found[key].shape != value.shape:
                there = tuple(getattr(found.get(key), 'shape', ()))
                raise InputError(
                    f'no weights of {self.model_name}: {key} is '
                    f'{there or "missing"}, must be {tuple(value.shape)}')
        return {key: found[key] for key in wanted}
