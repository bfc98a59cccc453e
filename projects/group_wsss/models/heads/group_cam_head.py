# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.models.heads import MultiLabelClsHead
from mmpretrain.structures import DataSample
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from ..utils import multi_hot, pool_maps


@MODELS.register_module()
class GroupCAMHead(MultiLabelClsHead):
    """Class maps by a 1x1 convolution, and their losses around a graph.

    Both losses are the mean over images and classes of the binary cross
    entropy of pooled maps (``torch.nn.MultiLabelSoftMarginLoss``). The
    released code divides their sum by 6 for groups of three, which is
    ``cam_weight=0.2, graph_weight=0.5`` here (docs/method.md).
    Without a graph there is one term, of weight 1: plain CAM.

    It also serves a stock ``ImageClassifier``, as a plain CAM head, and loads
    the weights of mmpretrain's linear heads (``fc``).

    Args:
        in_channels (int): Channels of the backbone's map.
        num_classes (int): Number of classes, ``C``.
        num_convs (int): 3x3 convolutions with ReLU before the 1x1 one; three
            in the released code. Defaults to 0.
        conv_channels (int): Their width. Defaults to 512.
        bias (bool): Bias of the 1x1 convolution; False is the classic CAM.
            Defaults to True.
        share_classifier (bool): Read the node states with the convolution
            that reads the backbone's map; otherwise with one of their own.
            Defaults to True.
        pooling (str): ``'avg'``, ``'max'`` or ``'topk'`` (mean of the highest
            ``pool_ratio`` of the positions). Defaults to ``'avg'``.
        pool_ratio (float): In (0, 1]. Defaults to 0.2.
        cam_weight (float): Weight of the loss before the graph. Defaults to
            0.4.
        graph_weight (float): Weight of the loss after it. Defaults to 1.0.
        loss (dict): Config of a multi-label loss. Defaults to
            ``dict(type='mmpretrain.CrossEntropyLoss', use_sigmoid=True)``.
        thr (float, optional): Score from which a class is predicted.
            Defaults to None, which means 0.5 unless ``topk`` is set.
        topk (int, optional): Predict so many classes. Defaults to None.
        recam (dict, optional): Options of ``group_wsss.ReCAMLoss``: a second,
            softmax classifier beside the first one, and class maps that both
            re-activate. The loss has its weight times that of the loss
            beside it (``cam_weight``, ``graph_weight``). Defaults to None,
            none.
        init_cfg (dict | list[dict], optional): Defaults to None: Kaiming for
            3x3, normal with standard deviation 0.01 for 1x1 convolutions.
    """

    def __init__(self,
                 in_channels: int,
                 num_classes: int,
                 num_convs: int = 0,
                 conv_channels: int = 512,
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
                 recam: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        names = ['classifier'] + ['graph_classifier'] * (not share_classifier)
        names += ['recam_classifier'] * (recam is not None)
        if init_cfg is None:
            init_cfg = [
                dict(
                    type='Kaiming',
                    layer='Conv2d',
                    override=[
                        dict(type='Normal', name=name, std=0.01)
                        for name in names
                    ])
            ]
        super().__init__(loss=loss, thr=thr, topk=topk, init_cfg=init_cfg)
        if num_classes == 'from_data':
            raise InputError(
                "num_classes of GroupCAMHead is 'from_data', which wants "
                "runner_type='group_wsss.DataRunner' in the config, or "
                'tools/train.py of group_wsss')
        if num_classes < 1:
            raise InputError(
                f'num_classes of GroupCAMHead is {num_classes}, must be >= 1')
        if pooling not in ('avg', 'max', 'topk') or not 0 < pool_ratio <= 1:
            raise InputError(
                "GroupCAMHead needs pooling 'avg', 'max' or 'topk' and "
                f"pool_ratio in (0, 1], got '{pooling}' and {pool_ratio}")
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.share_classifier = share_classifier
        self.pooling = pooling
        self.pool_ratio = pool_ratio
        self.cam_weight = cam_weight
        self.graph_weight = graph_weight
        layers, width = [], in_channels
        for _ in range(num_convs):
            layers += [nn.Conv2d(width, conv_channels, 3, padding=1)]
            layers += [nn.ReLU(inplace=True)]
            width = conv_channels
        self.convs = nn.Sequential(*layers)
        self.embed_channels = width
        for name in names:
            own = bias and name != 'recam_classifier'
            setattr(self, name, nn.Conv2d(width, num_classes, 1, bias=own))
        self.recam = None
        if recam is not None:
            self.recam = MODELS.build({
                'type': 'group_wsss.ReCAMLoss',
                **recam
            })

    def embed(self, feat: Tensor) -> Tensor:
        """What the classifiers read: the map after the 3x3 convolutions.

        Args:
            feat (Tensor): ``(B, in_channels, H, W)``.

        Returns:
            Tensor: ``(B, embed_channels, H, W)``; ``feat`` itself without
            such convolutions.

        Raises:
            InputError: Another number of channels.
        """
        if feat.dim() != 4 or feat.shape[1] != self.in_channels:
            raise InputError(
                f'in_channels of GroupCAMHead is {self.in_channels}, but it '
                f'is given a map of shape {tuple(feat.shape)}')
        return self.convs(feat)

    def class_maps(self, embedded: Tensor) -> Tensor:
        """Class maps before the graph.

        Args:
            embedded (Tensor): Of ``embed``, ``(B, embed_channels, H, W)``.

        Returns:
            Tensor: Logits ``(B, C, H, W)``; with ``recam`` ``(B, 3 C, H, W)``,
            see ``split_maps``.
        """
        return self._classify(embedded, self.classifier)

    def graph_maps(self, node: Tensor) -> Tensor:
        """Class maps of node states that are features.

        Args:
            node (Tensor): What the graph made of ``embed``,
                ``(B, embed_channels, H, W)``.

        Returns:
            Tensor: As ``class_maps``.
        """
        if self.share_classifier:
            return self.class_maps(node)
        return self._classify(node, self.graph_classifier)

    def split_maps(self, maps: Tensor) -> Tuple[Tensor, ...]:
        """What ``class_maps`` and ``graph_maps`` have put side by side.

        Args:
            maps (Tensor): ``(B, C, H, W)``, or ``(B, 3 C, H, W)`` with
                ``recam``.

        Returns:
            tuple[Tensor]: Logits, the logits of the softmax classifier, and
            the maps that predictions show, each ``(B, C, H, W)``. Without
            ``recam`` all are the input.
        """
        if self.recam is None:
            return maps, maps, maps
        return maps.split(self.num_classes, 1)

    def _classify(self, feat: Tensor, classifier: nn.Conv2d) -> Tensor:
        maps = classifier(feat)
        if self.recam is None:
            return maps
        other = self.recam_classifier
        with torch.no_grad():  # shown, not trained
            weight = self.recam.weight(classifier.weight, other.weight)
            shown = maps if weight is None else F.conv2d(feat, weight)
        return torch.cat([maps, other(feat), shown.detach()], 1)

    def pool(self, maps: Tensor, valid: Optional[Tensor] = None) -> Tensor:
        """Class logits of an image.

        Args:
            maps (Tensor): ``(B, C, H, W)``.
            valid (Tensor, optional): ``(B, H, W)``, False on padding.
                Defaults to None.

        Returns:
            Tensor: ``(B, C)``.
        """
        return pool_maps(maps, valid, self.pooling, self.pool_ratio)

    def forward(self, feats: Tuple[Tensor]) -> Tensor:
        """Plain CAM: pooled class maps of the last map, ``(B, C)``."""
        maps = self.class_maps(self.embed(self.pre_logits(feats)))
        return self.pool(self.split_maps(maps)[0])

    def loss(self, feats: Tuple[Tensor], data_samples: List[DataSample],
             **kwargs) -> Dict[str, Tensor]:
        """Losses of plain CAM in a stock ``ImageClassifier``.

        Args:
            feats (tuple[Tensor]): Stage maps.
            data_samples (list[DataSample]): See ``loss_by_maps``.
            **kwargs: Arguments of the multi-label loss.

        Returns:
            dict[str, Tensor]: ``loss``; with ``recam`` as ``loss_by_maps``.
        """
        if self.recam is None:
            return super().loss(feats, data_samples, **kwargs)
        maps = self.class_maps(self.embed(self.pre_logits(feats)))
        return self.loss_by_maps(maps, maps, data_samples)

    def _get_loss(self, cls_score: Tensor, data_samples: List[DataSample],
                  **kwargs) -> Dict[str, Tensor]:
        target = multi_hot(data_samples, self.num_classes, cls_score.device)
        # mmpretrain divides by the number of images alone
        return dict(
            loss=self.loss_module(
                cls_score, target, avg_factor=cls_score.numel(), **kwargs))

    def loss_by_maps(self,
                     maps: Tensor,
                     group_maps: Tensor,
                     data_samples: List[DataSample],
                     valid: Optional[Tensor] = None) -> Dict[str, Tensor]:
        """Losses before and after the graph.

        Args:
            maps (Tensor): Before the graph, as ``class_maps`` gives them.
            group_maps (Tensor): After it, as ``graph_maps``; ``maps`` itself
                if there is no graph.
            data_samples (list[DataSample]): With ``gt_label``, any number of
                class ids each, or ``gt_score``.
            valid (Tensor, optional): ``(B, H, W)``, False on padding.

        Returns:
            dict[str, Tensor]: ``loss_cam`` and, with a graph, ``loss_graph``;
            with ``recam`` also ``loss_cam_recam`` and ``loss_graph_recam``.

        Raises:
            InputError: If a class id is out of range.
        """
        if group_maps is maps:
            return self._losses('loss_cam', 1.0, maps, data_samples, valid)
        return dict(
            **self._losses('loss_cam', self.cam_weight, maps, data_samples,
                           valid),
            **self._losses('loss_graph', self.graph_weight, group_maps,
                           data_samples, valid))

    def _losses(self, name: str, weight: float, maps: Tensor,
                data_samples: List[DataSample],
                valid: Optional[Tensor]) -> Dict[str, Tensor]:
        logits, softmax, _ = self.split_maps(maps)
        loss = self._get_loss(self.pool(logits, valid), data_samples)['loss']
        losses = {name: weight * loss}
        if self.recam is not None:
            target = multi_hot(data_samples, self.num_classes, maps.device)
            losses[f'{name}_recam'] = weight * self.recam(
                logits, softmax, target, valid)
        return losses

    def predict_by_maps(self,
                        maps: Tensor,
                        group_maps: Tensor,
                        data_samples: List[DataSample],
                        valid: Optional[Tensor] = None,
                        sizes: Optional[Sequence[Tuple[int, int]]] = None,
                        map_source: str = 'graph') -> List[DataSample]:
        """Write scores and class maps into the samples.

        Args:
            maps (Tensor): Before the graph, as ``class_maps`` gives them.
            group_maps (Tensor): After it, as ``graph_maps``.
            data_samples (list[DataSample]): Changed in place.
            valid (Tensor, optional): ``(B, H, W)``, False on padding.
            sizes (Sequence[tuple[int, int]], optional): Height and width of
                the part of each map that is no padding. Defaults to None.
            map_source (str): ``'graph'``, ``'cam'`` or ``'mean'`` of both.
                Defaults to ``'graph'``.

        Returns:
            list[DataSample]: With ``pred_score`` ``(C, )`` and
            ``pred_label`` after the graph, ``class_ids`` ``(n, )`` (the
            labels given, else those predicted) and ``class_maps``
            ``(n, h, w)``: ReLU of the chosen logits (re-activated with
            ``recam``), not normalised.
        """
        logits, _, after = self.split_maps(group_maps)
        before = self.split_maps(maps)[-1]
        scores = self.pool(logits, valid).float()
        self._get_predictions(scores, data_samples)
        if map_source == 'mean' and group_maps is not maps:
            chosen = (before + after) / 2
        else:
            chosen = before if map_source == 'cam' else after
        chosen = chosen.float().relu()
        for i, sample in enumerate(data_samples):
            given = 'gt_label' in sample
            ids = sample.gt_label if given else sample.pred_label
            # sorted, each once
            sample.class_ids = torch.unique(ids.long().to(chosen.device))
            h, w = sizes[i] if sizes is not None else chosen.shape[-2:]
            sample.class_maps = chosen[i, sample.class_ids, :h, :w]
        return data_samples

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
