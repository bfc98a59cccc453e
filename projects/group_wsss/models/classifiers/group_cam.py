# Copyright (c) group_wsss contributors. All rights reserved.
import copy
from typing import List, Optional

import torch
import torch.nn as nn
from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.structures import DataSample
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from ..utils import (FrozenBackbone, GroupMaps, Inputs, anchors_of, exchange,
                     group_size_of, join_maps, losses_of, record_sizes,
                     to_channels_last, valid_positions)
from ..utils.stock_classifier import take_over
from .token_graph import TokenGraph


@MODELS.register_module()
class GroupCAM(FrozenBackbone, ImageClassifier):
    """Class maps of images that are read as groups.

    backbone -> neck (projection, graph) -> head. A batch is flat; the
    ``group_slot`` of its samples tells who stands together (0 starts a
    group), in training and at test time: ``group_collate`` puts it there.
    Images without it are groups of one. ``K = 1``, ``num_steps=0`` or no
    neck is plain CAM, bit for bit. Predictions are those of the images in
    slot 0. Source: Group-Wise Semantic Mining (AAAI 2021), docs/method.md.

    Args:
        backbone (dict): Any backbone whose last output is ``(B, C, h, w)``;
            for transformers of mmpretrain set ``out_type='featmap'``.
        neck (dict, optional): ``dict(type='group_wsss.CoAttentionGNN')``, or
            another one with ``project``, ``propagate`` and ``has_graph``.
            Defaults to None.
        head (dict): ``dict(type='group_wsss.GroupCAMHead')``. A linear head
            of mmpretrain, and the ``GlobalAveragePooling`` before it, are
            taken over as the plain CAM that they amount to; so ``type`` may
            be the one changed line of a stock config.
        freeze_backbone (bool): Keep the backbone as it is: no gradients,
            eval mode even while training. Defaults to False.
        channels_last (bool): Keep the weights, and with them all maps, with
            the channels of a pixel side by side. Given the same weights the
            numbers are the same up to rounding; a seed starts 3x3 weights
            from others. CPUs are faster by it, and GPUs in half precision
            (docs/performance.md). Defaults to False.
        data_preprocessor (dict, optional): Defaults to None; without a type
            it is a ``group_wsss.GroupDataPreprocessor``, a
            ``ClsDataPreprocessor`` that keeps images of different sizes
            apart in eval mode.
        **kwargs: ``train_cfg``, ``pretrained`` and ``init_cfg`` of
            ``mmpretrain.ImageClassifier``.

    Attributes:
        attach_class_maps (bool): Write class maps and scores into the samples
            of a training step, as :meth:`predict` does into those of a test.
            Set by the hook that accumulates them; False otherwise.
        token_graph (TokenGraph, optional): Where partners that samples name
            by ``bank_places`` send from. Set by ``TokenBankHook``; None
            otherwise.

    Raises:
        InputError: Parts that do not fit together; the key is named.
    """

    def __init__(self,
                 backbone: dict,
                 neck: Optional[dict] = None,
                 head: Optional[dict] = None,
                 freeze_backbone: bool = False,
                 channels_last: bool = True,
                 data_preprocessor: Optional[dict] = None,
                 **kwargs) -> None:
        if head is None:
            raise InputError('head of GroupCAM is missing')
        neck, head = take_over(neck, head)
        if not isinstance(data_preprocessor, nn.Module):
            data_preprocessor = dict(data_preprocessor or {})
            data_preprocessor.setdefault('type',
                                         'group_wsss.GroupDataPreprocessor')
        super().__init__(
            backbone,
            neck=copy.deepcopy(neck),
            head=head,
            data_preprocessor=data_preprocessor,
            **kwargs)
        width = getattr(self.head, 'in_channels', None)
        width = width or getattr(self.head, 'num_classes', None)
        own = getattr(self.neck, 'out_channels', width)
        if width is not None and own != width:
            raise InputError(
                f'the neck gives maps of {own} channels, in_channels of the '
                f'head is {width}: both read the same')
        if getattr(self.data_preprocessor, 'num_classes', 0) is None:
            self.data_preprocessor.num_classes = getattr(
                self.head, 'num_classes', None)
        self.attach_class_maps = False
        self.token_graph: Optional[TokenGraph] = None
        self.set_frozen(freeze_backbone)
        if channels_last:
            to_channels_last(self)

    def forward(self,
                inputs: Inputs,
                data_samples: Optional[List[DataSample]] = None,
                mode: str = 'tensor'):
        """Run one of the three modes of ``ImageClassifier``.

        Args:
            inputs (Tensor | Sequence[Tensor]): ``(B, 3, H, W)``, or images
                ``(3, H_i, W_i)`` of different sizes.
            data_samples (list[DataSample], optional): One per image.
            mode (str): ``'tensor'``, ``'loss'`` or ``'predict'``.

        Returns:
            tuple | dict | list: ``'tensor'``: class maps (logits) before and
            after the graph, each ``(B, C, h, w)``, the same object if there
            is none; ``'loss'``: a dict of losses; ``'predict'``: the samples
            of the anchors.
        """
        if mode != 'tensor':
            return super().forward(inputs, data_samples, mode)
        found = self.head.branches(self.extract_feat(inputs, data_samples))
        return found[0].logits, found[-1].logits

    def loss(self, inputs: Inputs, data_samples: List[DataSample]) -> dict:
        """Calculate the losses of a batch.

        Args:
            inputs (Tensor | Sequence[Tensor]): See :meth:`forward`.
            data_samples (list[DataSample]): With ``gt_label`` and, for
                groups, ``group_slot``.

        Returns:
            dict[str, Tensor]: See ``GroupCAMHead.loss``, and
            ``loss_contrast`` of ``CoAttentionGNN.loss``.
        """
        feats = self.extract_feat(inputs, data_samples)
        losses = losses_of(self.neck, self.head, feats, data_samples)
        if self.attach_class_maps:
            with torch.no_grad():
                self.head.predict(feats, data_samples, map_source='mean')
        return losses

    @torch.no_grad()
    def predict(self,
                inputs: Inputs,
                data_samples: Optional[List[DataSample]] = None,
                **kwargs) -> List[DataSample]:
        """Predict scores and class maps of the anchors.

        Args:
            inputs (Tensor | Sequence[Tensor]): See :meth:`forward`.
            data_samples (list[DataSample], optional): Those with
                ``gt_label`` get maps of these classes, others of the
                predicted ones.
            **kwargs: Of ``GroupCAMHead.predict``.

        Returns:
            list[DataSample]: One for each group.
        """
        if data_samples is None:
            data_samples = [DataSample() for _ in range(len(inputs))]
        if self.token_graph is not None and 'bank_places' in data_samples[0]:
            return self.head.predict_branches(
                self.token_graph.branches(self, inputs, data_samples),
                data_samples, **kwargs)
        feats = self.extract_feat(inputs, data_samples, anchors_only=True)
        samples = self.head.predict(feats, data_samples, **kwargs)
        return [samples[i] for i in anchors_of(samples)]

    def extract_feat(self,
                     inputs: Inputs,
                     data_samples: Optional[List[DataSample]] = None,
                     anchors_only: bool = False) -> GroupMaps:
        """Run backbone and neck.

        Args:
            inputs (Tensor | Sequence[Tensor]): See :meth:`forward`.
            data_samples (list[DataSample], optional): Their ``group_slot``
                tells who stands together; they get ``map_shape`` where there
                is padding.
            anchors_only (bool): The maps after the graph need to be right
                for the first image of each group alone. Defaults to False.

        Returns:
            GroupMaps: What the head reads.
        """
        return self.relate(
            self.backbone_maps(inputs), inputs, data_samples, anchors_only)

    def backbone_maps(self, inputs: Inputs) -> List[Tensor]:
        """Run the backbone.

        Args:
            inputs (Tensor | Sequence[Tensor]): See :meth:`forward`.

        Returns:
            list[Tensor]: Its last map: one ``(B, C, h, w)``, or one
            ``(1, C, h_i, w_i)`` for each image, which sees no padding.

        Raises:
            InputError: The backbone gives no map.
        """
        if not isinstance(inputs, Tensor):
            return [self.backbone_maps(image[None])[0] for image in inputs]
        feats = self.run_backbone(inputs)
        last = feats if isinstance(feats, Tensor) else feats[-1]
        if not isinstance(last, Tensor) or last.dim() != 4:
            got = tuple(getattr(last, 'shape', ())) or type(last).__name__
            raise InputError(
                f'backbone {type(self.backbone).__name__} gives no map '
                f'(B, C, h, w) but {got}; transformers of mmpretrain need '
                "out_type='featmap'")
        return [last]

    def relate(self,
               feats: List[Tensor],
               inputs: Inputs,
               data_samples: Optional[List[DataSample]] = None,
               anchors_only: bool = False) -> GroupMaps:
        """Run the neck: projection, then messages inside each group.

        Args:
            feats (list[Tensor]): Of :meth:`backbone_maps`.
            inputs (Tensor | Sequence[Tensor]): What they were made of.
            data_samples (list[DataSample], optional): See
                :meth:`extract_feat`.
            anchors_only (bool): See :meth:`extract_feat`. Defaults to False.

        Returns:
            GroupMaps: What the head reads.
        """
        if data_samples is None:
            data_samples = [DataSample() for _ in range(len(inputs))]
        record_sizes(inputs, feats, data_samples)
        if not self.with_neck:
            joined = join_maps(feats)
            return GroupMaps(joined, joined)
        before = join_maps([self.neck.project(feat) for feat in feats])
        size = self._group_size(data_samples)
        if self.training and self.neck.has_graph(size):
            self._show_one_colour(inputs[0])
        return exchange(self.neck, self.head, before, size,
                        valid_positions(data_samples, before), anchors_only)

    def _show_one_colour(self, image: Tensor) -> None:
        """Let ``PositionalDebias`` see an image without content, once."""
        layer = getattr(
            getattr(self.neck, 'coattention', None), 'debias', None)
        if layer is None or layer.fitted:
            return
        if not self.freeze_backbone:
            raise InputError('neck.coattention.debias of GroupCAM knows one '
                             'state of the backbone: set freeze_backbone=True')
        black = torch.zeros(image.shape, dtype=torch.uint8)
        data = self.data_preprocessor(dict(inputs=[black]))
        layer.fit(self.backbone_maps(data['inputs'])[-1])

    def _group_size(self, data_samples: List[DataSample]) -> int:
        size = group_size_of(data_samples)
        if size is not None or not self.training:
            return size or 1
        own = getattr(self.neck, 'group_size', None)
        if own is None and self.neck.has_graph(2):
            raise InputError(
                'no image of the training batch has a group_slot: set '
                "train_dataloader.collate_fn to dict(type='group_wsss."
                "group_collate', group_size=K), or model.neck.group_size")
        return own or 1
