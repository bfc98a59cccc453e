# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Dict, List, Optional, Tuple, Union

import torch
import torch.nn as nn
from mmpretrain.models.heads import MultiLabelClsHead
from mmpretrain.structures import DataSample
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from ..utils import (Branch, GroupMaps, check_choice, multi_hot, own_part,
                     pool_maps, valid_positions)

Feats = Union[GroupMaps, Tuple[Tensor, ...]]
Samples = Optional[List[DataSample]]


@MODELS.register_module()
class GroupCAMHead(MultiLabelClsHead):
    """Class maps by a 1x1 convolution, and their losses around a graph.

    Both losses are the mean over images and classes of the binary cross
    entropy of pooled maps (``torch.nn.MultiLabelSoftMarginLoss``);
    ``cam_weight=0.2, graph_weight=0.5`` is the released sum (docs/method.md).
    Without a graph there is one term, of weight 1: plain CAM, also in a stock
    ``ImageClassifier``, where it loads the weights of linear heads (``fc``).

    Args:
        in_channels (int, optional): Channels of the maps; None if they are
            class maps already (logit nodes, see ``Projection``).
        num_classes (int): Number of classes, ``C``.
        bias (bool): Bias of the 1x1 convolution; False is the classic CAM.
            Defaults to True.
        share_classifier (bool): One convolution reads the maps before and
            after the graph. Defaults to True.
        pooling (str): ``'avg'``, ``'max'`` or ``'topk'`` (mean of the highest
            ``pool_ratio`` of the positions). Defaults to ``'avg'``.
        pool_ratio (float): In (0, 1]. Defaults to 0.2.
        cam_weight (float): Of the loss before the graph. Defaults to 0.4.
        graph_weight (float): Of the loss after the graph. Defaults to 1.0.
        loss (dict): Config of a multi-label loss. Defaults to
            ``dict(type='mmpretrain.CrossEntropyLoss', use_sigmoid=True)``.
        thr (float, optional): Score from which a class is predicted.
            Defaults to None, which means 0.5 unless ``topk`` is set.
        topk (int, optional): Predict so many classes. Defaults to None.
        map_source (str): Predictions show maps after the graph (``'graph'``),
            before it (``'cam'``) or their ``'mean'``. Defaults to ``'graph'``.
        init_cfg (dict, optional): Defaults to None: normal with standard
            deviation 0.01; Kaiming for convolutions of a subclass.

    Raises:
        InputError: An option has a value that it cannot have.
    """

    def __init__(self,
                 in_channels: Optional[int],
                 num_classes: int,
                 bias: bool = True,
                 share_classifier: bool = True,
                 pooling: str = 'avg',
                 pool_ratio: float = 0.2,
                 cam_weight: float = 0.4,
                 graph_weight: float = 1.0,
                 loss: dict = dict(
                     type='mmpretrain.CrossEntropyLoss', use_sigmoid=True),
                 thr: Optional[float] = None,
                 topk: Optional[int] = None,
                 map_source: str = 'graph',
                 init_cfg: Optional[dict] = None) -> None:
        if init_cfg is None and in_channels is not None:
            names = ['classifier']
            if not share_classifier:
                names.append('graph_classifier')
            init_cfg = dict(
                type='Kaiming',
                layer='Conv2d',
                override=[
                    dict(type='Normal', name=name, std=0.01) for name in names
                ])
        super().__init__(loss=loss, thr=thr, topk=topk, init_cfg=init_cfg)
        if num_classes == 'from_data':
            raise InputError(
                "num_classes of GroupCAMHead is 'from_data', which wants "
                "runner_type='group_wsss.DataRunner' in the config")
        if num_classes < 1:
            raise InputError(
                f'num_classes of GroupCAMHead is {num_classes}, must be >= 1')
        if pooling not in ('avg', 'max', 'topk') or not 0 < pool_ratio <= 1:
            raise InputError(
                "GroupCAMHead needs pooling 'avg', 'max' or 'topk' and "
                f"pool_ratio in (0, 1], got '{pooling}' and {pool_ratio}")
        check_choice('GroupCAMHead', 'map_source', map_source,
                     ('graph', 'cam', 'mean'))
        if in_channels is None and not share_classifier:
            raise InputError('share_classifier=False of GroupCAMHead has no '
                             'use without in_channels')
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.pooling = pooling
        self.pool_ratio = pool_ratio
        self.cam_weight = cam_weight
        self.graph_weight = graph_weight
        self.map_source = map_source
        self.classifier = self._conv(bias)
        self.graph_classifier = None if share_classifier else self._conv(bias)

    def _conv(self, bias: bool) -> nn.Module:
        if self.in_channels is None:
            return nn.Identity()
        return nn.Conv2d(self.in_channels, self.num_classes, 1, bias=bias)

    @property
    def reads_averages(self) -> bool:
        """Whether one convolution is all that happens to a position.

        The class maps of an average are then the average of class maps.
        Heads derived from this one may read features after the graph.
        """
        return (type(self) is GroupCAMHead and self.graph_classifier is None
                and self.in_channels is not None)

    def branches(self, feats: Feats) -> List[Branch]:
        """Classify the maps before the graph and, if there is one, after it.

        Args:
            feats (GroupMaps | tuple[Tensor]): Of ``GroupCAM.extract_feat``,
                or stage maps, of which the last is read.

        Returns:
            list[Branch]: Two, or one without a graph.

        Raises:
            InputError: Maps with another number of channels.
        """
        if not isinstance(feats, GroupMaps):
            feats = GroupMaps(feats[-1], feats[-1])
        before, after, class_maps = feats
        width = self.in_channels or self.num_classes
        for feat in (before, before if class_maps is not None else after):
            if feat.dim() != 4 or feat.shape[1] != width:
                raise InputError(
                    f'in_channels of GroupCAMHead is {width}, but it is '
                    f'given a map of shape {tuple(feat.shape)}')
        first, own = self.classifier, self.graph_classifier or self.classifier
        if after is before:
            return [Branch('loss_cam', 1.0, before, first, first(before))]
        after_maps = after
        if class_maps is None:
            class_maps, after_maps = first(before), own(after)
        return [
            Branch('loss_cam', self.cam_weight, before, first, class_maps),
            Branch('loss_graph', self.graph_weight, after, own, after_maps)
        ]

    def forward(self, feats: Feats) -> Tensor:
        """Class logits ``(B, C)`` after the graph, padding included."""
        return self.pool(self.branches(feats)[-1].logits)

    def pool(self, maps: Tensor, valid: Optional[Tensor] = None) -> Tensor:
        """Class logits of an image.

        Args:
            maps (Tensor): ``(B, C, H, W)``.
            valid (Tensor, optional): ``(B, H, W)``, False on padding.

        Returns:
            Tensor: ``(B, C)``.
        """
        return pool_maps(maps, valid, self.pooling, self.pool_ratio)

    def loss(self, feats: Feats, data_samples: List[DataSample],
             **kwargs) -> Dict[str, Tensor]:
        """Losses before and after the graph.

        Args:
            feats (GroupMaps | tuple[Tensor]): See :meth:`branches`.
            data_samples (list[DataSample]): With ``gt_label``, any number of
                class ids each, or ``gt_score``.
            **kwargs: Arguments of the multi-label loss.

        Returns:
            dict[str, Tensor]: ``loss_cam`` and, with a graph, ``loss_graph``.

        Raises:
            InputError: A class id is out of range, or labels are missing.
        """
        found = self.branches(feats)
        logits = found[0].logits
        target = multi_hot(data_samples, self.num_classes, logits.device)
        valid = valid_positions(data_samples, logits)
        losses: Dict[str, Tensor] = {}
        for branch in found:
            losses.update(self.branch_loss(branch, target, valid, **kwargs))
        return losses

    def branch_loss(self, branch: Branch, target: Tensor,
                    valid: Optional[Tensor], **kwargs) -> Dict[str, Tensor]:
        """Weighted losses of one classification, by name.

        Args:
            branch (Branch): The classification.
            target (Tensor): ``(B, C)``.
            valid (Tensor, optional): ``(B, h, w)``, False on padding.
            **kwargs: Arguments of the multi-label loss.

        Returns:
            dict[str, Tensor]: Scalars.
        """
        score = self.pool(branch.logits, valid)
        # mmpretrain divides by the number of images alone
        loss = self.loss_module(
            score, target, avg_factor=score.numel(), **kwargs)
        return {branch.name: branch.weight * loss}

    def tag_maps(self, feats: Feats, data_samples: List[DataSample]) -> Tensor:
        """Class maps of the tags, each divided by its maximum.

        Args:
            feats (GroupMaps | tuple[Tensor]): See :meth:`branches`.
            data_samples (list[DataSample]): With ``gt_label``.

        Returns:
            Tensor: ``(B, C, h, w)`` in [0, 1], after the graph and without
            gradient; 0 for classes that are no tag, and on padding.
        """
        logits = self.branches(feats)[-1].logits.detach().float()
        target = multi_hot(data_samples, self.num_classes, logits.device)
        valid = valid_positions(data_samples, logits)
        maps = logits.relu() * target[:, :, None, None]
        if valid is not None:
            maps = maps * valid.unsqueeze(1)
        peak = maps.amax((2, 3), keepdim=True)
        return maps / torch.where(peak > 0, peak, torch.ones_like(peak))

    def shown_maps(self, branch: Branch) -> Tensor:
        """Maps ``(B, C, h, w)`` that predictions show, before the ReLU."""
        return branch.logits

    def predict(self,
                feats: Feats,
                data_samples: Samples = None,
                map_source: Optional[str] = None) -> List[DataSample]:
        """Write scores and class maps into the samples.

        Args:
            feats (GroupMaps | tuple[Tensor]): See :meth:`branches`.
            data_samples (list[DataSample], optional): Changed in place.
                Defaults to None, new ones.
            map_source (str, optional): Instead of that of the head.

        Returns:
            list[DataSample]: With ``pred_score`` ``(C, )`` and
            ``pred_label`` after the graph, ``class_ids`` ``(n, )`` (the
            labels given, else those predicted) and ``class_maps``
            ``(n, h, w)``: ReLU of the maps shown, not normalised.
        """
        return self.predict_branches(
            self.branches(feats), data_samples, map_source)

    def predict_branches(self,
                         found: List[Branch],
                         data_samples: Samples = None,
                         map_source: Optional[str] = None) -> List[DataSample]:
        """As :meth:`predict`, of what :meth:`branches` gave."""
        logits = found[-1].logits
        samples = data_samples or [DataSample() for _ in logits]
        score = self.pool(logits, valid_positions(samples, logits)).float()
        self._get_predictions(score, samples)
        source = map_source or self.map_source
        shown = self.shown_maps(found[0 if source == 'cam' else -1])
        if source == 'mean' and len(found) > 1:
            shown = (self.shown_maps(found[0]) + shown) / 2
        shown = shown.float().relu()
        for i, sample in enumerate(samples):
            given = 'gt_label' in sample
            ids = sample.gt_label if given else sample.pred_label
            # sorted, each once
            sample.class_ids = torch.unique(ids.long().to(shown.device))
            sample.class_maps = own_part(shown[i, sample.class_ids], sample)
        return samples

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args,
                              **kwargs) -> None:
        # a linear layer of pooled features is a 1x1 convolution before them
        for name in ('weight', 'bias'):
            linear = state_dict.pop(f'{prefix}fc.{name}', None)
            if linear is not None:
                if name == 'weight':
                    linear = linear[..., None, None]
                state_dict[f'{prefix}classifier.{name}'] = linear
        for name, value in self.state_dict().items():
            got = state_dict.get(prefix + name)
            if got is not None and got.shape != value.shape:
                raise InputError(
                    f'{prefix}{name} of the checkpoint has shape '
                    f'{tuple(got.shape)}, the model has {tuple(value.shape)}:'
                    ' another number of classes or channels')
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
