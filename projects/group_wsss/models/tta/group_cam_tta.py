# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Dict, List, Sequence, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmpretrain.structures import DataSample
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from ..utils import check_choice

_FLIPS = dict(horizontal=(2, ), vertical=(1, ), diagonal=(1, 2))


@MODELS.register_module()
class GroupCAMTTA(BaseTTAModel):
    """Class maps summed over scales and flips of an image.

    Every augmentation is made of the whole group, so an image asks partners
    of its own size and side. The maps of the anchors are flipped back,
    brought to the size of the largest (bilinear, ``align_corners=False``) and
    merged. Summing CAMs over scales and flips is the rule of PSA (CVPR 2018)
    and IRN (CVPR 2019); scores are averaged.

    Augmentations of the same size, such as an image and its mirror image,
    are one batch of the model.

    The pipeline ends with ``TestTimeAug``; ``PackInputs`` in it needs
    ``flip`` and ``flip_direction`` in ``meta_keys``, also where all flips
    have ``prob=0``.

    Args:
        module (dict | nn.Module): A ``GroupCAM``.
        data_preprocessor (dict | nn.Module, optional): Replaces that of
            ``module``. Defaults to None.
        merge (str): ``'mean'`` or ``'max'`` over augmentations, after the
            ReLU that is part of class maps. Defaults to ``'mean'``.
        normalize (bool): Divide each map by its maximum before it is merged,
            so that all augmentations weigh the same. Defaults to False.
        batch_augs (bool): Augmentations of the same size are one batch. False
            needs less memory. Defaults to True.

    Raises:
        InputError: ``merge`` is neither.
    """

    def __init__(self,
                 module: Union[dict, nn.Module],
                 data_preprocessor: Union[dict, nn.Module, None] = None,
                 merge: str = 'mean',
                 normalize: bool = False,
                 batch_augs: bool = True) -> None:
        check_choice('GroupCAMTTA', 'merge', merge, ('mean', 'max'))
        super().__init__(module, data_preprocessor)
        self.merge = merge
        self.normalize = normalize
        self.batch_augs = batch_augs

    def test_step(self, data: dict) -> List[DataSample]:
        """Merged predictions of a batch.

        Args:
            data (dict): ``inputs`` and ``data_samples``, each a list of
                augmentations, each a list of ``B`` images ``(3, H_i, W_i)``
                or samples; groups as in ``GroupCAM``.

        Returns:
            list[DataSample]: See ``merge_preds``.

        Raises:
            InputError: If the batch is not one of ``TestTimeAug``.
        """
        inputs, samples = data['inputs'], data['data_samples']
        if not isinstance(samples[0], (list, tuple)):
            raise InputError('GroupCAMTTA is given a batch without '
                             'augmentations: the test pipeline must end with '
                             'TestTimeAug, as tta_pipeline does')
        same: Dict[tuple, List[int]] = {}
        for i, images in enumerate(inputs):
            shapes = tuple(tuple(image.shape) for image in images)
            same.setdefault(shapes if self.batch_augs else (i, ), []).append(i)
        predictions: List[list] = [[] for _ in inputs]
        for members in same.values():
            # group_slot 0 starts a group: a batch may hold any number of them
            found = self.module.test_step(
                dict(
                    inputs=[image for i in members for image in inputs[i]],
                    data_samples=[s for i in members for s in samples[i]]))
            count = len(found) // len(members)
            for place, i in enumerate(members):
                predictions[i] = found[place * count:(place + 1) * count]
        return self.merge_preds(list(zip(*predictions)))

    def merge_preds(
            self,
            data_samples_list: List[Sequence[DataSample]]) -> List[DataSample]:
        """Merge the predictions of each image.

        Args:
            data_samples_list (list[Sequence[DataSample]]): For each image,
                what ``GroupCAM.predict`` says of its augmentations.

        Returns:
            list[DataSample]: The first sample of each image, without its
            flip, with the mean ``pred_score`` and the ``pred_label`` of
            that, and with merged ``class_maps`` ``(n, h, w)`` of
            ``class_ids`` ``(n, )``. An image without labels has those
            predicted by the mean score; their maps are merged over the
            augmentations that predict them.

        Raises:
            InputError: It is not recorded whether an image was flipped, or
                which way.
        """
        return [self._merge(views) for views in data_samples_list]

    def _merge(self, views: Sequence[DataSample]) -> DataSample:
        merged = views[0].new()
        if len(views) > 1:
            score = torch.stack([view.pred_score for view in views]).mean(0)
            merged.set_pred_score(score)
            merged.set_pred_label(self._labels(score))
        ids = torch.unique(torch.cat([view.class_ids for view in views]))
        if 'gt_label' not in merged:
            ids = ids[torch.isin(ids, merged.pred_label)]
        maps = [self._turned_back(view, len(views)) for view in views]
        size = (max(part.shape[1]
                    for part in maps), max(part.shape[2] for part in maps))
        merged.class_maps = self._join(views, maps, ids, size)
        merged.class_ids = ids
        if merged.get('flip', False):
            merged.set_metainfo(dict(flip=False, flip_direction=None))
        return merged

    def _labels(self, score: Tensor) -> Tensor:
        """Predicted classes of a score, as the head finds them."""
        module = self.module
        while is_model_wrapper(module):
            module = module.module
        if module.head.thr is not None:
            return torch.where(score >= module.head.thr)[0]
        return score.topk(module.head.topk)[1]

    def _join(self, views: Sequence[DataSample], maps: List[Tensor],
              ids: Tensor, size: Tuple[int, int]) -> Tensor:
        """Merged maps of classes ``ids``, ``(n, h, w)``."""
        joined = maps[0].new_zeros(len(ids), *size)
        count = maps[0].new_zeros(len(ids), 1, 1)
        for view, part in zip(views, maps):
            known = torch.isin(view.class_ids, ids)
            rows = torch.searchsorted(ids, view.class_ids[known])
            if not len(rows):
                continue
            part = part[known]
            if part.shape[-2:] != size:
                part = F.interpolate(
                    part[None], size, mode='bilinear', align_corners=False)[0]
            if self.normalize:
                peak = part.amax((1, 2), keepdim=True)
                part = part / torch.where(peak > 0, peak, 1)
            if self.merge == 'max':  # maps are not negative
                joined[rows] = torch.maximum(joined[rows], part)
            else:
                joined[rows] += part
                count[rows] += 1
        return joined if self.merge == 'max' else joined / count

    @staticmethod
    def _turned_back(view: DataSample, num_views: int) -> Tensor:
        """Class maps of the image that was not flipped."""
        flip = view.get('flip')
        if flip is None and num_views > 1:
            raise InputError(
                f'data sample of image {view.get("img_id")!r} does not say '
                "whether it was flipped: put 'flip' and 'flip_direction' into "
                'meta_keys of PackInputs, and a RandomFlip before it (prob=0 '
                'for none)')
        if not flip:
            return view.class_maps
        direction = view.get('flip_direction')
        if direction not in _FLIPS:
            raise InputError(f'image {view.get("img_id")!r}: flip_direction '
                             f'{direction!r} cannot be undone')
        return view.class_maps.flip(_FLIPS[direction])
