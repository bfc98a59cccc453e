# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.utils import add_prefix
from torch import Tensor, nn

from ...registry import MODELS
from ...utils.errors import InputError
from ..backbones import FeatureCache
from ..utils import FrozenBackbone
from .soft_labels import absent_classes, stack_soft_labels

# a logit whose softmax is 0, and which stays finite where a label is soft
ABSENT = -1e4


class WeakEncoderDecoder(FrozenBackbone, EncoderDecoder):
    """mmseg's ``EncoderDecoder`` with losses that see more than the label.

    Any config of an ``EncoderDecoder`` takes them by one changed line, and
    its checkpoints stay interchangeable::

        model=dict(type='group_wsss.WeakEncoderDecoder',
                   regularizers=[dict(type='group_wsss.GatedCRFLoss')])

    A regularizer is called on the logits of the decode head at label size,
    as ``loss(seg_logits, seg_label, ignore_index=..., soft_label=...,
    image=..., valid=...)``; its value is logged as
    ``decode.<loss_name>``. mmseg's ``SegRescale`` in the train pipeline makes
    labels, scores and with them the loss coarser, and training faster. Soft
    labels need the scores of a dump, by ``LoadScores`` and ``PackScores`` in
    the train pipeline. Inference is that of ``EncoderDecoder``.

    Args:
        regularizers (Sequence[dict]): Configs of losses. Defaults to ().
        head_loss (bool): Keep the decode head's own loss. False where a
            regularizer, such as ``CollisionCrossEntropy``, takes its place;
            auxiliary heads keep theirs. Defaults to True.
        bg_threshold (float, optional): Score at which a class and background
            are equally likely in soft labels. Defaults to None: the one by
            which the labels of the dump were made, from its manifest.
        temperature (float): Of the softmax that makes scores soft labels.
            Defaults to 0.05.
        use_unknown (bool): Give pixels that the labeler left unknown their
            soft label too. Defaults to False.
        restrict_to_tags (bool): Leave classes that an image does not show
            out of the softmax in training: its tags are known. The network
            then learns only what tells the classes of one image apart, and
            wants the same knowledge from ``group_wsss.Segmentor``; it is no
            network to test by itself. Defaults to False.
        freeze_backbone (bool): Keep the backbone as it is: no gradients,
            eval mode even while training. Defaults to False.
        kwargs: Arguments of ``EncoderDecoder``.

    Raises:
        InputError: If an option has a value that it cannot have, or the
            decode head is one whose logits cannot be shared.
    """

    def __init__(self,
                 *,
                 regularizers: Sequence[dict] = (),
                 head_loss: bool = True,
                 bg_threshold: Optional[float] = None,
                 temperature: float = 0.05,
                 use_unknown: bool = False,
                 restrict_to_tags: bool = False,
                 freeze_backbone: bool = False,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if type(self.decode_head).loss is not BaseDecodeHead.loss:
            raise InputError(
                f'decode_head {type(self.decode_head).__name__} computes its '
                'loss in a way of its own; WeakEncoderDecoder needs a head '
                'with the loss of BaseDecodeHead')
        if not head_loss and not regularizers:
            raise InputError('head_loss=False of WeakEncoderDecoder leaves '
                             'the decode head without a loss: add one to '
                             'regularizers')
        if not temperature > 0:
            raise InputError(f'temperature of WeakEncoderDecoder is '
                             f'{temperature}, must be > 0')
        if not head_loss:
            self.decode_head.loss_decode = nn.ModuleList()
        self.regularizers = nn.ModuleList(
            MODELS.build(cfg) for cfg in regularizers)
        self.bg_threshold = bg_threshold
        self.temperature = temperature
        self.use_unknown = use_unknown
        self.restrict_to_tags = restrict_to_tags
        self.set_frozen(freeze_backbone)

    def train(self, mode: bool = True) -> 'WeakEncoderDecoder':
        """Set train mode; maps of images that are segmented are not kept."""
        super().train(mode)
        if isinstance(self.backbone, FeatureCache):
            self.backbone.keeping = mode
        return self

    def loss(self, inputs: Tensor, data_samples: List) -> Dict[str, Tensor]:
        """Losses of the heads and of the regularizers.

        Args:
            inputs (Tensor): ``(B, 3, H, W)``.
            data_samples (list[SegDataSample]): With ``gt_sem_seg``.

        Returns:
            dict[str, Tensor]: Loss by name.

        Raises:
            InputError: If the decode head gives more than one logit map.
        """
        return self.decode_loss(
            self.extract_feat(inputs), inputs, data_samples)

    def decode_loss(self, feats: Sequence[Tensor], inputs: Tensor,
                    data_samples: List) -> Dict[str, Tensor]:
        """Losses of given features; see :meth:`loss`.

        Args:
            feats (Sequence[Tensor]): Of ``extract_feat``.
            inputs (Tensor): What they were made of.
            data_samples (list[SegDataSample]): With ``gt_sem_seg``.

        Returns:
            dict[str, Tensor]: Loss by name.

        Raises:
            InputError: If the decode head gives more than one logit map.
        """
        head = self.decode_head
        seg_logits = head.forward(feats)
        if not isinstance(seg_logits, Tensor):
            raise InputError(
                f'decode_head {type(head).__name__} gives more than one map '
                'of logits; WeakEncoderDecoder needs a head with one')
        if self.restrict_to_tags:
            absent = absent_classes(data_samples, seg_logits.shape[1])
            seg_logits = seg_logits.masked_fill(
                absent.to(seg_logits.device)[..., None, None], ABSENT)
        losses = head.loss_by_feat(seg_logits, data_samples)
        targets = self._targets(inputs, data_samples)
        seg_logits = F.interpolate(
            seg_logits,
            size=targets['seg_label'].shape[1:],
            mode='bilinear',
            align_corners=self.align_corners)
        for regularizer in self.regularizers:
            name = regularizer.loss_name
            value = regularizer(seg_logits, **targets)
            losses[name] = losses[name] + value if name in losses else value
        losses = add_prefix(losses, 'decode')
        if self.with_auxiliary_head:
            losses.update(
                self._auxiliary_head_forward_train(feats, data_samples))
        return losses

    def _targets(self, inputs: Tensor, data_samples: List) -> dict:
        """Collect the targets that regularizers take beside the logits."""
        label = torch.cat([s.gt_sem_seg.data for s in data_samples])
        size = (label.shape[1], label.shape[2])
        full = (inputs.shape[2], inputs.shape[3])
        # mmseg's SegRescale makes labels smaller than their image
        if size[0] * full[1] != size[1] * full[0]:
            raise InputError(
                f'{data_samples[0].get("img_path")}: labels of {size} pixels '
                f'for inputs of {full}: SegRescale does not go with padding, '
                'resize or crop all images to one size')
        valid = torch.zeros_like(label, dtype=torch.bool)
        for mask, sample in zip(valid, data_samples):
            height, width = (
                n * size[0] // full[0]
                for n in sample.metainfo.get('img_shape', full)[:2])
            mask[:height, :width] = True
        soft = stack_soft_labels(data_samples, size, self.num_classes,
                                 self.bg_threshold, self.temperature)
        if soft is not None:
            known = valid
            if not self.use_unknown:
                known = known & (label != self.decode_head.ignore_index)
            soft = soft * known.unsqueeze(1)
        return dict(
            seg_label=label,
            ignore_index=self.decode_head.ignore_index,
            soft_label=soft,
            image=self._images(inputs, size),
            valid=valid)

    def _images(self,
                inputs: Tensor,
                size: Optional[Tuple[int, int]] = None) -> Tensor:
        """``inputs`` before they were normalised, in [0, 1], resized."""
        mean = getattr(self.data_preprocessor, 'mean', None)
        if mean is not None:
            inputs = inputs * self.data_preprocessor.std + mean
        images = (inputs.detach() / 255).clamp(0, 1)
        if size is not None and images.shape[2:] != size:
            images = F.interpolate(images, size, mode='area')
        return images
