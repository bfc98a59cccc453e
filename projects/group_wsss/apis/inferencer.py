# Copyright (c) group_wsss contributors. All rights reserved.
import time
from contextlib import nullcontext
from functools import partial
from typing import Any, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample

from ..datasets import GroupedDataset, group_collate
from ..engine.supervision import model_supervision
from ..pseudo_labels import LabelPipeline, Refiners
from ..registry import TASK_UTILS
from ..structures.palette import palette_of
from ..utils.config import hooks_of, inner_dataset, scope_of
from ..utils.errors import InputError
from ..utils.progress import Progress
from ..visualization import add_legend, paint_label
from .images import Input, InputImage, InputImages, list_images
from .labelling import build_pipeline, label_images, with_device
from .network import check_device, load_classifier, read_config
from .output import ResultWriter
from .packaged import packaged_model
from .reference import build_reference
from .tags import predict_tags, read_tags
from .tiles import predict_tiles, tile_boxes

Inputs = Union[Input, Sequence[Input]]


class GroupCAMInferencer:
    """Class maps and labels of images by a trained ``GroupCAM``.

    ``GroupCAMInferencer()('image.jpg')`` labels with the packaged model, with
    a config and weights as ``tools/test.py`` does: equal images, tags and
    partners give equal labels. Weights are read without running code.

    Args:
        model (str | dict | Config, optional): Config of stage 1, or its
            path; of a stock classifier with ``type='group_wsss.GroupCAM'``,
            whose ``CenterCrop`` is left out: labels are of whole images.
            Defaults to None: the packaged model for the 20 classes of VOC,
            see :func:`.packaged.packaged_model`.
        weights (str, optional): Checkpoint of ``model``: file or address.
        device (str, optional): Of the network and of refiners that name no
            other. Defaults to None, a GPU if there is one.
        classes (str | Sequence[str], optional): Class names, or a dump or
            file that has them. Defaults to None: those that the checkpoint
            carries, see :func:`.network.find_classes`.
        reference (optional): Where partners come from: a folder or glob
            (tags of its images are predicted once), an image list with
            tags, a data set or its config. Partners follow from image id,
            tags and ``seed`` alone. Defaults to None: every image is a
            group of its own.
        reference_root (str, optional): Folder of the images of a list.
            Defaults to None, that of the list.
        group_size (int, optional): K of the groups. Defaults to None: as
            the config tests, or trains.
        match (str, optional): Rule of partners, see ``GroupedDataset``.
            Defaults to None, that of the config, else ``'any'``.
        seed (int, optional): Defaults to None, that of the config, else 0.
        refiners (Sequence[dict], optional): Configs of refiners. Defaults
            to None: those of the config's ``PseudoLabelHook``.
        labeler (dict, optional): Config of a labeler. Defaults to None:
            that of the config's ``PseudoLabelHook``, else a
            ``ThresholdLabeler``.
        bg_threshold (float | str, optional): Replaces that of the labeler.
        tag_threshold (float): Score from which a class is predicted; the
            best class always is. Defaults to 0.5.
        tta (bool): Scales and flips, by ``tta_model`` and ``tta_pipeline``
            of the config. Defaults to False.
        tile (int, optional): Class maps of a larger image are made of
            overlapping squares of so many pixels, see :mod:`.tiles`.
            Defaults to None: of the whole image, as the pipeline resizes it.
        palette (Sequence, optional): RGB of the labels. Defaults to None:
            that of the config's hook, then see
            :func:`group_wsss.structures.palette.palette_of`.
        show_progress (bool): Bars on stderr. Defaults to True.

    Raises:
        InputError: A file is missing or damaged, weights or class names do
            not fit, or an option cannot be used.
    """

    def __init__(self,
                 model: Union[str, dict, Config, None] = None,
                 weights: Optional[str] = None,
                 device: Optional[str] = None,
                 *,
                 classes: Union[str, Sequence[str], None] = None,
                 reference: Any = None,
                 reference_root: Optional[str] = None,
                 group_size: Optional[int] = None,
                 match: Optional[str] = None,
                 seed: Optional[int] = None,
                 refiners: Optional[Sequence[dict]] = None,
                 labeler: Optional[dict] = None,
                 bg_threshold: Union[float, str, None] = None,
                 tag_threshold: float = 0.5,
                 tta: bool = False,
                 tile: Optional[int] = None,
                 palette: Optional[Sequence] = None,
                 show_progress: bool = True) -> None:
        if (model is None) != (weights is None):
            raise InputError('GroupCAMInferencer needs model and weights, or '
                             'neither for the packaged model')
        if model is None:
            packaged = packaged_model()
            model, weights = packaged['model'], packaged['weights']
            refiners = packaged['refiners'] if refiners is None else refiners
            labeler = labeler or packaged['labeler']
        self.cfg = cfg = read_config(model)
        device = device or get_device()
        check_device(device)
        self.weights = str(weights)
        self.tag_threshold = tag_threshold
        if tile is not None:
            tile_boxes((1, 1), tile)  # is it one?
            cfg.tile = tile  # for the manifest
        self.tile = tile
        self.show_progress = show_progress
        self.classes, net = load_classifier(cfg, self.weights, classes, tta)
        self.model = net.to(device)

        hook = (hooks_of(cfg, 'PseudoLabelHook') or [{}])[0]
        self.palette = hook.get('palette') if palette is None else palette
        self.colours = palette_of(self.classes, self.palette)
        self.labeler = dict(
            labeler or hook.get('labeler')
            or dict(type='group_wsss.ThresholdLabeler'))
        if bg_threshold is not None:
            self.labeler['bg_threshold'] = bg_threshold
        self.refiners = [
            dict(step) for step in (
                hook.get('refiners') or () if refiners is None else refiners)
        ]
        self.labelling = LabelPipeline(
            TASK_UTILS.build(dict(self.labeler)),
            Refiners([with_device(step, device) for step in self.refiners]),
            self.classes)

        data = (cfg.get('test_dataloader', None) or {}).get('dataset') or {}
        steps = cfg.tta_pipeline if tta else inner_dataset(data).get(
            'pipeline', None)
        self.loader, self.pipeline = build_pipeline(cfg, steps)
        self.group_size = group_size or data.get('group_size', 1)
        self.match = match or data.get('match', 'any')
        self.seed = data.get('seed', 0) if seed is None else seed
        self.reference = None
        if reference is None:
            self.group_size = 1
            return
        if self.group_size < 2:
            raise InputError('reference: partners need group_size >= 2, it is '
                             f'{self.group_size}')
        self.reference = build_reference(
            reference, reference_root, self.classes,
            [self.loader, *self.pipeline.transforms], scope_of(cfg),
            lambda images: self._predict_tags(images, 1, 'Reference')[0],
            self.weights)

    def __call__(self, inputs: Inputs, *args: Any, **kwargs: Any) -> list:
        """Label images; arguments and results as in :meth:`stream`."""
        return list(self.stream(inputs, *args, **kwargs))

    def stream(self,
               inputs: Inputs,
               return_datasamples: bool = False,
               batch_size: int = 1,
               *,
               tags: Any = None,
               return_vis: bool = True,
               out_dir: Optional[str] = None,
               keep_scores: bool = False) -> Iterator[Any]:
        """Label images one at a time: for more than fit in memory.

        Args:
            inputs (str | Path | np.ndarray | Sequence): See
                :func:`.images.list_images`; arrays are BGR.
            return_datasamples (bool): Give ``DataSample`` objects, with
                ``pred_sem_seg`` ``(1, H, W)``, instead of dicts. Defaults to
                False.
            batch_size (int): Groups in a batch. Defaults to 1.
            tags (Sequence, optional): Names or ids, one list for all images
                or one for each. Defaults to None, predicted on each alone.
            return_vis (bool): Paint labels. Defaults to True.
            out_dir (str, optional): Write a dump with ``overlays/<id>.jpg``
                there, when all images are done. Defaults to None.
            keep_scores (bool): Score maps too. Defaults to False.

        Yields:
            dict | DataSample: For each image in its order a dict:
            ``img_id``; ``tags``, names; ``scores``, a float for each class
            name (those that the tags were predicted by, else those of the
            group); ``score_map``, a ``ScoreMap`` behind the refiners;
            ``label``, uint8 ``(H, W)`` (0 background, class id + 1, 255
            unknown); ``visualization``, RGB uint8 ``(H, W, 3)``.

        Raises:
            InputError: An image, a tag or the folder cannot be used.
        """
        start = time.perf_counter()
        images = list_images(inputs)
        if batch_size < 1:
            raise InputError(f'batch_size is {batch_size}, must be >= 1')
        labels = (None if tags is None else read_tags(tags, len(images),
                                                      self.classes))
        writer = None if out_dir is None else ResultWriter(
            out_dir, images, self.classes, self.palette, keep_scores)
        with writer or nullcontext():
            scores: List[np.ndarray] = []
            if labels is None:
                labels, scores = self._predict_tags(images, batch_size)
            samples = self._samples(images, batch_size, 'Class maps', labels,
                                    self.group_size)
            # samples first, so that their progress is told to the end
            found = label_images(self.labelling, zip(samples, images))
            for i, (image, sample, score_map, label) in enumerate(found):
                tags_here = [
                    self.classes[c] for c in sample.class_ids.tolist()
                ]
                # one painting serves the caller and the dump
                if return_vis or writer is not None:
                    painted = paint_label(label, image.rgb(), self.colours)
                if writer is not None:
                    names = ('background', *self.classes)
                    writer.write(
                        score_map, label,
                        add_legend(painted, label, names, self.colours,
                                   tags_here))
                if scores:
                    sample.set_pred_score(torch.from_numpy(scores[i]))
                if return_datasamples:
                    sample.pred_sem_seg = PixelData(
                        data=torch.from_numpy(label)[None])
                    yield sample
                    continue
                result = dict(
                    img_id=image.img_id,
                    tags=tags_here,
                    scores=dict(zip(self.classes, sample.pred_score.tolist())),
                    score_map=score_map,
                    label=label)
                if return_vis:
                    result['visualization'] = painted
                yield result
            if writer is not None:
                writer.finish(
                    self.cfg,
                    self.weights,
                    labeler=self.labeler,
                    refiners=self.refiners,
                    chosen_thresholds=self.labelling.thresholds,
                    supervision=model_supervision(self.model) +
                    self.labelling.supervision,
                    seed=self.seed,
                    duration=round(time.perf_counter() - start, 3))

    @torch.no_grad()
    def _samples(self,
                 images: List[InputImage],
                 batch_size: int,
                 what: str,
                 tags: Optional[List[List[int]]] = None,
                 group_size: int = 1) -> Iterator[DataSample]:
        """Predictions for the images, with progress."""
        data = InputImages(images, tags or [[]] * len(images), self.classes,
                           self.loader, self.pipeline)
        groups = GroupedDataset(
            data, group_size, self.match, self.seed, reference=self.reference)
        told = Progress(what) if self.show_progress else None
        for start in range(0, len(images), batch_size):
            stop = min(start + batch_size, len(images))
            if self.tile is None or tags is None:
                batch = group_collate([groups[i] for i in range(start, stop)])
                yield from self.model.test_step(batch)
            else:
                for i in range(start, stop):
                    yield predict_tiles(self.model, groups[i], self.tile,
                                        partial(data.pixels, i),
                                        partial(data.pack, i))
            if told is not None:
                told(stop, len(images))

    def _predict_tags(
            self,
            images: List[InputImage],
            batch_size: int,
            what: str = 'Tags') -> Tuple[List[List[int]], List[np.ndarray]]:
        """Class ids of images by the scores of each alone."""
        scores = [
            sample.pred_score.cpu().numpy()
            for sample in self._samples(images, batch_size, what)
        ]
        return [predict_tags(s, self.tag_threshold) for s in scores], scores
