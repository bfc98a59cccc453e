# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Dict, List, Optional, Tuple

import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import Tensor

from ...models.heads import GroupCAMHead
from ...models.heads.group_cam_head import Feats, Samples
from ...models.utils import Branch, GroupMaps, own_part
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

    With ``surgery`` a map is ``w_c x't_c`` less its mean over all words,
    from 0 at its lowest to 1 at its highest position, where ``w_c`` is the
    softmax of ``2 z't`` divided by its mean, ``z`` the class token: what a
    position has in common with every word is taken out, words that the whole
    image does not suggest count for less (feature surgery of CLIP Surgery
    and ExCEL).

    Args:
        text (str): File of ``tools/text_features.py``.
        scale (float): Inverse temperature. Defaults to 40.0.
        surgery (bool): See above; needs ``DenseCLIP(class_token=True)``.
            Defaults to False.

    Attributes:
        text (TextFeatures): The words.
        supervision (str): Letter of ``Manifest.supervision``.
        own_classes (tuple): The class names, and the file that has them.

    Raises:
        InputError: The file is missing or damaged, or ``scale`` is not
            positive.
    """

    supervision = 'L'

    def __init__(self,
                 text: str,
                 scale: float = 40.0,
                 surgery: bool = False) -> None:
        words = TextFeatures.load(text)
        super().__init__(None, len(words.classes))
        if scale <= 0:
            raise InputError(f'scale of TextCAMHead is {scale}, must be '
                             'positive')
        self.text = words
        self.text_path = text
        self.own_classes: Tuple[Tuple[str, ...], str] = (words.classes, text)
        self.scale = scale
        self.surgery = surgery
        self.in_channels = words.features.shape[1] * (2 if surgery else 1)
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
            token = ' with the class token' if self.surgery else ''
            raise InputError(
                f'{self.text_path}: words have {self.in_channels} channels'
                f'{token}, the image tower gives {feat.shape[1]}: features of '
                'another model, or class_token of DenseCLIP is not surgery of '
                'TextCAMHead')
        unit = F.normalize(feat[:, :self.words.shape[1]].float(), dim=1)
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
                         data_samples: Samples = None,
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
        if self.surgery:
            for maps, sample in zip(self._surgery(found[-1]), samples):
                sample.class_maps = _stretched(
                    own_part(maps[sample.class_ids], sample))
            return samples
        for logits, sample in zip(found[-1].logits, samples):
            ids = sample.class_ids
            known = torch.cat([logits[ids], logits[self.num_classes:]])
            sample.class_maps = own_part(known.softmax(0)[:len(ids)], sample)
        return samples

    def _surgery(self, branch: Branch) -> Tensor:
        """Maps of all words less what they have in common."""
        token = branch.feat[:, self.words.shape[1]:, 0, 0].float()
        share = (2 * F.normalize(token) @ self.words.T).softmax(1)
        weight = share / share.mean(1, keepdim=True)
        maps = branch.logits / self.scale * weight[:, :, None, None]
        return maps - maps.mean(1, keepdim=True)


def _stretched(maps: Tensor) -> Tensor:
    """Each map from 0 to 1; 0 where it is the same everywhere."""
    low, high = maps.amin((1, 2), True), maps.amax((1, 2), True)
    return (maps - low) / torch.where(high > low, high - low,
                                      torch.ones_like(high))
