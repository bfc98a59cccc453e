# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Dict, List, Optional, Sequence

import torch
from mmengine.structures import PixelData
from torch import Tensor

from ...models.segmentors.weak_encoder_decoder import WeakEncoderDecoder
from ...models.utils import (GroupMaps, exchange, group_size_of, losses_of,
                             multi_hot, record_sizes, valid_positions)
from ...registry import MODELS
from ...utils.errors import InputError


class OnlineWeakEncoderDecoder(WeakEncoderDecoder):
    """Class maps, labels and decoder, trained together from tags.

    The last map of the backbone is read by a classifier, with a co-attention
    graph before it where there is ``cam_neck``. Its class maps of the tags
    become the label of the same batch, see ``OnlineLabeler``, and this
    label trains the decode head; no gradient flows through it. What
    single-stage networks add beside that, they add to the losses; all of
    ``WeakEncoderDecoder`` is here. Inference is that of mmseg's
    ``EncoderDecoder``: no tags, no groups, no class maps.

    The samples need ``gt_label``: ``PackTags`` and ``TaggedImages`` in place
    of mmseg's ``PackSegInputs`` and data set. With ``cam_neck`` the batch
    holds groups: ``GroupBatchSampler``.

    Args:
        cam_head (dict): Config of a ``GroupCAMHead``; its ``num_classes`` is
            that of the decode head without background.
        cam_neck (dict, optional): Config of a ``CoAttentionGNN``. Defaults
            to None, a plain classifier.
        labeler (dict): Options of ``OnlineLabeler``. Defaults to dict().
        warmup (int): Batches that train the classifier alone; class maps say
            nothing before. On several GPUs it wants
            ``find_unused_parameters=True`` in the config. Defaults to 0.
        **kwargs: Of ``WeakEncoderDecoder``.

    Attributes:
        seen_batches (Tensor): Batches trained on, part of checkpoints.

    Raises:
        InputError: If an option has a value that it cannot have.
    """

    def __init__(self,
                 *,
                 cam_head: dict,
                 cam_neck: Optional[dict] = None,
                 labeler: dict = dict(),
                 warmup: int = 0,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if type(warmup) is not int or warmup < 0:
            raise InputError(f'warmup of OnlineWeakEncoderDecoder is '
                             f'{warmup!r}, must be a whole number >= 0')
        self.cam_neck: Any = None
        if cam_neck is not None:
            self.cam_neck = MODELS.build(cam_neck)
        self.cam_head = MODELS.build(
            dict(cam_head, num_classes=self.num_classes - 1))
        self.labeler = MODELS.build(
            dict(labeler, type='group_wsss.OnlineLabeler'))
        self.warmup = warmup
        self.seen_batches: Tensor
        self.register_buffer('seen_batches', torch.zeros((), dtype=torch.long))

    def loss(self, inputs: Tensor, data_samples: List) -> Dict[str, Tensor]:
        """Losses of the classifier and, after the warm-up, of the decoder.

        Args:
            inputs (Tensor): ``(B, 3, H, W)``.
            data_samples (list[SegDataSample]): With ``gt_label``; they get
                ``gt_sem_seg``, the label of this batch.

        Returns:
            dict[str, Tensor]: Loss by name; those of the classifier begin
            with ``cam.``, those of the decoder are of ``EncoderDecoder``.

        Raises:
            InputError: A sample brings a label image, or no tags.
        """
        for sample in data_samples:
            if 'gt_sem_seg' in sample:
                raise InputError(
                    f'{sample.get("img_path")}: has a label image, but '
                    'OnlineWeakEncoderDecoder makes its own from tags: leave '
                    'LoadAnnotations out of the train pipeline')
        feats = self.extract_feat(inputs)
        maps = self.class_maps(feats, inputs, data_samples)
        losses = losses_of(self.cam_neck, self.cam_head, maps, data_samples)
        losses = {f'cam.{name}': value for name, value in losses.items()}
        warm = int(self.seen_batches) >= self.warmup
        self.seen_batches += 1
        if warm:
            label = self.label(maps, inputs, data_samples)
            for sample, one in zip(data_samples, label):
                sample.gt_sem_seg = PixelData(data=one.unsqueeze(0))
            losses.update(self.decode_loss(feats, inputs, data_samples))
        return losses

    def class_maps(self, feats: Sequence[Tensor], inputs: Tensor,
                   data_samples: List) -> GroupMaps:
        """Read the last map of the backbone, alone or in groups.

        Args:
            feats (Sequence[Tensor]): Of ``extract_feat``.
            inputs (Tensor): ``(B, 3, H, W)``.
            data_samples (list[SegDataSample]): Their ``group_slot`` tells
                who stands together.

        Returns:
            GroupMaps: What ``cam_head`` reads.
        """
        last = feats[-1]
        size = tuple(inputs.shape[2:])
        shapes = [s.get('img_shape', size)[:2] for s in data_samples]
        if any(tuple(shape) != size for shape in shapes):
            for sample, shape in zip(data_samples, shapes):
                sample.set_metainfo(dict(valid_shape=shape))
            record_sizes(inputs, [last], data_samples)
        if self.cam_neck is None:
            return GroupMaps(last, last)
        before = self.cam_neck.project(last)
        return exchange(self.cam_neck, self.cam_head, before,
                        group_size_of(data_samples) or 1,
                        valid_positions(data_samples, before))

    @torch.no_grad()
    def label(self, maps: GroupMaps, inputs: Tensor,
              data_samples: List) -> Tensor:
        """Label a batch by its class maps.

        Args:
            maps (GroupMaps): Of :meth:`class_maps`.
            inputs (Tensor): ``(B, 3, H, W)``.
            data_samples (list[SegDataSample]): With ``gt_label``.

        Returns:
            Tensor: int64 ``(B, H, W)``, see ``OnlineLabeler``.
        """
        valid = None
        if 'valid_shape' in data_samples[0]:
            valid = torch.zeros_like(inputs[:, 0], dtype=torch.bool)
            for mask, sample in zip(valid, data_samples):
                height, width = sample.valid_shape
                mask[:height, :width] = True
        tags = multi_hot(data_samples, self.num_classes - 1, inputs.device)
        return self.labeler(
            self._images(inputs), self.cam_head.tag_maps(maps, data_samples),
            tags, valid)
