# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Dict, List, Optional

import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import Tensor

from ...models.heads import GroupCAMHead
from ...models.heads.group_cam_head import Branch, Feats
from ...models.utils import GroupMaps, own_part
from ...registry import MODELS
from ...utils.errors import InputError
from .text_features import TextFeatures


@MODELS.register_module()
class TextCAMHead(GroupCAMHead):
    """Class maps by the likeness of features to words.

    With ``x`` the unit feature of a position and ``t`` that of a word, the
    map of a tag ``c`` is ``softmax(scale * x't)_c`` over the *tags of the
    image* and all background words: what is not there takes no part, what is
    no class has somewhere to go. The score of a class is the mean over
    positions of the same softmax over *all* classes and background words, so
    it knows nothing of the tags. Nothing is learned.

    Args:
        text (str): File of ``tools/text_features.py``.
        scale (float): Inverse temperature. Defaults to 40.0.

    Attributes:
        text (TextFeatures): The words.
        supervision (str): Letter of ``Manifest.supervision``.

    Raises:
        InputError: The file is missing or damaged, or ``scale`` is not
            positive.
    """

    supervision = 'L'

    def __init__(self, text: str, scale: float = 40.0) -> None:
        words = TextFeatures.load(text)
        super().__init__(None, len(words.classes))
        if scale <= 0:
            raise InputError(f'scale of TextCAMHead is {scale}, must be '
                             'positive')
        self.text = words
        self.text_path = text
        self.scale = scale
        self.in_channels = words.features.shape[1]
        self.words: Tensor
        # not of the checkpoint
        self.register_buffer(
            'words', torch.from_numpy(words.features), persistent=False)

    def branches(self, feats: Feats) -> List[Branch]:
        """Compare every position with every word.

        Args:
            feats (GroupMaps | tuple[Tensor]): See ``GroupCAMHead``.

        Returns:
            list[Branch]: One; its logits are ``(B, C + W, h, w)``, those of
            the ``W`` background words last.

        Raises:
            InputError: Features of another width than the words.
        """
        feat = feats.after if isinstance(feats, GroupMaps) else feats[-1]
        if feat.shape[1] != self.in_channels:
            raise InputError(
                f'{self.text_path}: words have {self.in_channels} channels, '
                f'the image tower gives {feat.shape[1]}: features of another '
                'model')
        unit = F.normalize(feat.float(), dim=1)
        logits = self.scale * torch.einsum('bdhw,cd->bchw', unit, self.words)
        return [Branch('text', 1.0, feat, self.classifier, logits)]

    def pool(self, maps: Tensor, valid: Optional[Tensor] = None) -> Tensor:
        """Logits of the scores.

        Args:
            maps (Tensor): ``(B, C + W, h, w)``, logits of the words.
            valid (Tensor, optional): See ``GroupCAMHead``.

        Returns:
            Tensor: ``(B, C)``.
        """
        score = super().pool(maps.softmax(1), valid)[:, :self.num_classes]
        return torch.logit(score, eps=1e-6)

    def loss(self, feats: Feats, data_samples: List[DataSample],
             **kwargs) -> Dict[str, Tensor]:
        """Refuse to train.

        Raises:
            InputError: Always.
        """
        raise InputError('TextCAMHead has nothing to train: test a '
                         'checkpoint of CLIP, or take a GroupCAMHead')

    def predict_branches(self,
                         found: List[Branch],
                         data_samples: Optional[List[
                             Optional[DataSample]]] = None,
                         map_source: Optional[str] = None) -> List[DataSample]:
        """Write scores and class maps of the tags into the samples.

        Args:
            found (list[Branch]): Of :meth:`branches`.
            data_samples (list[DataSample], optional): With ``gt_label``.
            map_source (str, optional): Has no meaning here.

        Returns:
            list[DataSample]: As of ``GroupCAMHead``; maps are in [0, 1] and
            sum up to at most 1.
        """
        samples = super().predict_branches(found, data_samples, map_source)
        for logits, sample in zip(found[-1].logits, samples):
            ids = sample.class_ids
            known = torch.cat([logits[ids], logits[self.num_classes:]])
            sample.class_maps = own_part(known.softmax(0)[:len(ids)], sample)
        return samples
