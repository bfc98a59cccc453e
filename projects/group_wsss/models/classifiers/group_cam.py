# Copyright (c) group_wsss contributors. All rights reserved.
import copy
from contextlib import nullcontext
from typing import List, Optional, Tuple

import torch
import torch.nn as nn
from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.structures import DataSample
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from ..utils import (Inputs, Sizes, group_size_of, join_maps, multi_hot,
                     valid_sizes)
from ..utils.stock_classifier import take_over


@MODELS.register_module()
class GroupCAM(ImageClassifier):
    """Class maps of images that are read as groups.

    A batch is flat: every ``K`` neighbours are one group. The head reads
    class maps from the backbone's last map and once more after the graph.
    ``K = 1``, ``num_steps=0`` or no neck is plain CAM, bit for bit. Source:
    Group-Wise Semantic Mining (AAAI 2021), docs/method.md.

    At inference the groups are given by ``group_slot`` of the samples (0
    starts a group; ``GroupedDataset`` sets it), and only the images in slot 0
    are returned. Without it every image is a group of one.

    Args:
        backbone (dict): Any backbone whose last output is ``(B, C, h, w)``;
            for transformers of mmpretrain set ``out_type='featmap'``.
        neck (dict, optional): ``dict(type='group_wsss.CoAttentionGNN')``, or
            another one that takes ``group_size`` and has
            ``has_graph(group_size)`` and
            ``forward(feats, group_size, key_mask)``. Defaults to None.
        head (dict): ``dict(type='group_wsss.GroupCAMHead')``. A linear head
            of mmpretrain, and the ``GlobalAveragePooling`` before it, are
            taken over as the plain CAM that they amount to; so ``type`` may
            be the one changed line of a stock config.
        group_size (int, optional): K of the training batches. Defaults to
            None, the neck's.
        node (str): ``'feature'``: the graph works on features, as in the
            paper: on the map that the head's 1x1 classifier reads, which is
            the backbone's unless the head has convolutions before it.
            ``'logit'``: on the class maps, as released. Defaults to
            ``'feature'``.
        freeze_backbone (bool): Keep the backbone as it is: no gradients,
            eval mode even while training. Defaults to False.
        channels_last (bool): Keep the weights, and with them all maps, with
            the channels of a pixel side by side. Given the same weights the
            numbers are the same up to rounding; a seed starts 3x3 weights
            from others. CPUs are faster by it, and GPUs in half precision
            (docs/performance.md). Defaults to False.
        test_cfg (dict, optional): ``map_source``: class maps of predictions
            are those after the graph (``'graph'``), before (``'cam'``) or
            their mean (``'mean'``). Defaults to ``'graph'``.
        equivariance (dict, optional): Options of
            ``group_wsss.EquivarianceLoss``: training also sees every image
            made smaller, in the same groups. Losses of the head are then the
            mean of both views, and the class maps are asked to agree.
            Defaults to None, one view.
        data_preprocessor (dict, optional): Defaults to None; without a type
            it is a ``group_wsss.GroupDataPreprocessor``, a
            ``ClsDataPreprocessor`` that keeps images of different sizes
            apart in eval mode.
        **kwargs: ``train_cfg``, ``pretrained`` and ``init_cfg`` of
            ``mmpretrain.ImageClassifier``.
    """

    def __init__(self,
                 backbone: dict,
                 neck: Optional[dict] = None,
                 head: Optional[dict] = None,
                 group_size: Optional[int] = None,
                 node: str = 'feature',
                 freeze_backbone: bool = False,
                 channels_last: bool = False,
                 test_cfg: Optional[dict] = None,
                 equivariance: Optional[dict] = None,
                 data_preprocessor: Optional[dict] = None,
                 **kwargs) -> None:
        if node not in ('feature', 'logit'):
            raise InputError(
                f"node of GroupCAM is '{node}', must be 'feature' or 'logit'")
        if head is None:
            raise InputError('head of GroupCAM is missing')
        neck, head = take_over(neck, head)
        if group_size is not None and group_size < 1:
            raise InputError(
                f'group_size of GroupCAM is {group_size}, must be >= 1')
        test_cfg = {'map_source': 'graph', **(test_cfg or {})}
        if test_cfg['map_source'] not in ('graph', 'cam', 'mean'):
            raise InputError(
                f"map_source of GroupCAM is '{test_cfg['map_source']}', must "
                "be 'graph', 'cam' or 'mean'")
        if not isinstance(data_preprocessor, nn.Module):
            data_preprocessor = dict(data_preprocessor or {})
            data_preprocessor.setdefault('type',
                                         'group_wsss.GroupDataPreprocessor')
        if neck is not None and not isinstance(neck, nn.Module):
            neck = copy.deepcopy(neck)
            own = neck.setdefault('group_size', group_size or 1)
            if group_size is not None and own != group_size:
                raise InputError(f'group_size of GroupCAM is {group_size}, '
                                 f'that of its neck {own}')
        super().__init__(
            backbone,
            neck=neck,
            head=head,
            data_preprocessor=data_preprocessor,
            **kwargs)
        self.group_size = group_size or getattr(self.neck, 'group_size', 1)
        self.node = node
        self.test_cfg = test_cfg
        self.freeze_backbone = freeze_backbone
        if node == 'logit' and not getattr(self.head, 'share_classifier', 1):
            raise InputError('share_classifier=False of the head has no use '
                             "with node='logit'")
        if (node == 'logit' and self.with_neck
                and getattr(self.head, 'recam', None) is not None):
            raise InputError('recam of the head reads features, nodes of the '
                             "graph are none with node='logit'")
        width = getattr(self.head, 'embed_channels', None)
        own = getattr(self.neck, 'in_channels', width)
        if node == 'feature' and width is not None and own != width:
            key = 'conv_channels' if len(self.head.convs) else 'in_channels'
            raise InputError(f'in_channels of the neck is {own}, but {key} '
                             f'of the head is {width}: the graph works on '
                             'what the classifier reads')
        self.equivariance = None
        if equivariance is not None:
            self.equivariance = MODELS.build({
                'type': 'group_wsss.EquivarianceLoss',
                **equivariance
            })
        if freeze_backbone:
            self.backbone.requires_grad_(False)
            self.backbone.eval()
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> 'GroupCAM':
        """Train mode; a frozen backbone stays in eval mode."""
        super().train(mode)
        if self.freeze_backbone:
            self.backbone.eval()
        return self

    def forward(self,
                inputs: Inputs,
                data_samples: Optional[List[DataSample]] = None,
                mode: str = 'tensor'):
        """As in ``ImageClassifier``.

        Args:
            inputs (Tensor | Sequence[Tensor]): ``(B, 3, H, W)``, or images
                ``(3, H_i, W_i)`` of different sizes.
            data_samples (list[DataSample], optional): One per image.
            mode (str): ``'tensor'``, ``'loss'`` or ``'predict'``.

        Returns:
            tuple | dict | list: ``'tensor'``: logits before and after the
            graph, each ``(B, C, h, w)``, the same object if there is none;
            ``'loss'``: a dict of losses; ``'predict'``: the samples of the
            anchors, see ``GroupCAMHead.predict_by_maps``.
        """
        if mode == 'tensor':
            maps, group_maps = self._maps(inputs, data_samples)[:2]
            logits = self.head.split_maps(maps)[0]
            if group_maps is maps:
                return logits, logits
            return logits, self.head.split_maps(group_maps)[0]
        return super().forward(inputs, data_samples, mode)

    def loss(self, inputs: Inputs, data_samples: List[DataSample]) -> dict:
        """Losses; each sample also gets this step's class maps.

        Args:
            inputs (Tensor | Sequence[Tensor]): See ``forward``.
            data_samples (list[DataSample]): With ``gt_label``.

        Returns:
            dict[str, Tensor]: See ``GroupCAMHead.loss_by_maps``; with
            ``equivariance`` also ``loss_er`` and ``loss_ecr``.
        """
        maps, group_maps, valid, sizes, feats = self._maps(
            inputs, data_samples)
        losses = self.head.loss_by_maps(maps, group_maps, data_samples, valid)
        if self.equivariance is not None:
            losses = self._second_view(inputs, data_samples, losses,
                                       (maps, group_maps, feats, sizes))
        with torch.no_grad():  # for the online accumulation of maps
            self.head.predict_by_maps(maps.detach(), group_maps.detach(),
                                      data_samples, valid, sizes, 'mean')
        return losses

    def _second_view(self, inputs: Inputs, data_samples: List[DataSample],
                     losses: dict, first: Tuple) -> dict:
        """Losses of both views; ``first`` are maps, features and sizes."""
        maps, group_maps, valid, sizes, feats = self._maps(
            inputs, data_samples, shrink=True)
        other = self.head.loss_by_maps(maps, group_maps, data_samples, valid)
        # a view without a graph has its one loss at weight 1
        apart = group_maps is maps and first[1] is not first[0]
        weight = self.head.cam_weight if apart else 1.0
        for name, value in other.items():
            losses[name] = (losses[name] + weight * value) / 2
        after = self.equivariance.map_source == 'graph'
        views = [(self.head.split_maps(view[after])[0],
                  join_maps(view[2], view[3])[0], view[3])
                 for view in (first, (maps, group_maps, feats, sizes))]
        target = multi_hot(data_samples, self.head.num_classes, maps.device)
        return dict(losses, **self.equivariance(*views, target))

    @torch.no_grad()
    def predict(self,
                inputs: Inputs,
                data_samples: Optional[List[DataSample]] = None,
                **kwargs) -> List[DataSample]:
        """Scores and class maps of the anchors.

        Args:
            inputs (Tensor | Sequence[Tensor]): See ``forward``.
            data_samples (list[DataSample], optional): Those with
                ``gt_label`` get maps of these classes, others of the
                predicted ones.

        Returns:
            list[DataSample]: One for each group.
        """
        maps, group_maps, valid, sizes, feats = self._maps(
            inputs, data_samples, anchors_only=True)
        if data_samples is None:
            data_samples = [DataSample() for _ in range(len(maps))]
        data_samples = self.head.predict_by_maps(
            maps,
            group_maps,
            data_samples,
            valid,
            sizes,
            map_source=self.test_cfg['map_source'])
        refine = self.equivariance is not None and self.equivariance.refine
        anchors = []
        for i, sample in enumerate(data_samples):
            if sample.get('group_slot', 0) == 0:
                if refine:
                    h, w = sample.class_maps.shape[-2:]
                    feat = feats[0][i] if len(feats) == 1 else feats[i][0]
                    sample.class_maps = self.equivariance.refine_maps(
                        sample.class_maps, feat[:, :h, :w])
                anchors.append(sample)
        return anchors

    def extract_feat(self, inputs: Inputs, stage: str = 'neck'):
        """The backbone's maps, the last one as it leaves the graph.

        Args:
            inputs (Tensor): ``(B, 3, H, W)``.
            stage (str): ``'backbone'``, or ``'neck'``: the last map is then
                that of the nodes after the graph. For logit nodes both are
                the same. Defaults to ``'neck'``.

        Returns:
            tuple[Tensor]: Stage maps.
        """
        assert stage in ('backbone', 'neck'), f'no stage {stage}'
        feats = self._backbone(inputs)
        if stage == 'backbone' or self.node == 'logit' or not self.with_neck:
            return feats
        size = self.group_size if self.training else 1
        embedded = self.head.embed(feats[-1])
        return self.neck((*feats[:-1], embedded), group_size=size)

    def _backbone(self, inputs: Tensor) -> Tuple[Tensor, ...]:
        frozen = self.freeze_backbone
        with torch.no_grad() if frozen else nullcontext():
            feats = self.backbone(inputs)
        feats = (feats, ) if isinstance(feats, Tensor) else tuple(feats)
        last = feats[-1]
        if not isinstance(last, Tensor) or last.dim() != 4:
            got = tuple(getattr(last, 'shape', ())) or type(last).__name__
            raise InputError(
                f'backbone {type(self.backbone).__name__} gives no map '
                f'(B, C, h, w) but {got}; transformers of mmpretrain need '
                "out_type='featmap'")
        return feats

    def _maps(
        self,
        inputs: Inputs,
        data_samples: Optional[List[DataSample]],
        anchors_only: bool = False,
        shrink: bool = False
    ) -> Tuple[Tensor, Tensor, Optional[Tensor], Sizes, List[Tensor]]:
        """Maps before and after the graph, what is no padding, its sizes.

        Last are the backbone's maps: one ``(B, C, h, w)``, or one for each
        image. With ``shrink`` all is of the smaller view.

        The backbone and the convolutions of the head see no padding if the
        images come as a list. With ``anchors_only`` the logits after the
        graph are right for the first image of each group alone.
        """
        k = self.group_size if self.training else group_size_of(data_samples)
        seen = self.equivariance.shrink(inputs) if shrink else inputs
        if isinstance(seen, Tensor):
            feats = [self._backbone(seen)[-1]]
        else:
            feats = [self._backbone(image[None])[-1] for image in seen]
        sizes = valid_sizes(inputs, feats, data_samples)
        embedded = [self.head.embed(feat) for feat in feats]
        maps = [self.head.class_maps(one) for one in embedded]
        before, valid = join_maps(maps, sizes)
        alone = shrink and self.equivariance.map_source == 'cam'
        if alone or not self.with_neck or not self.neck.has_graph(k):
            return before, before, valid, sizes, feats
        nodes = before
        if self.node == 'feature':
            nodes = join_maps(embedded, sizes)[0]
        nodes = self.neck((nodes, ),
                          group_size=k,
                          key_mask=valid,
                          anchors_only=anchors_only)[-1]
        if self.node == 'logit':
            return before, nodes, valid, sizes, feats
        if len(feats) == 1:
            return before, self.head.graph_maps(nodes), valid, sizes, feats
        apart = [
            self.head.graph_maps(node[None, :, :h, :w])
            for node, (h, w) in zip(nodes, sizes)
        ]
        return before, join_maps(apart, sizes)[0], valid, sizes, feats
