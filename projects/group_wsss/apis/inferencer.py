# Copyright (c) group_wsss contributors. All rights reserved.
import sys
import time
from typing import (Any, Callable, Dict, Iterable, Iterator, List, Optional,
                    Sequence, Tuple, Union)

import numpy as np
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.infer import BaseInferencer
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from rich.console import Console
from rich.progress import track

from ..datasets import GroupedDataset, LoadImage, group_collate
from ..models import GroupCAM
from ..registry import MODELS, TRANSFORMS
from ..utils.errors import InputError
from ..utils.progress import Progress
from ..visualization import paint_label
from .images import Input, Photo, PhotoSet, list_photos
from .labelling import Item, Labelling, hook_config
from .network import (build_network, check_device, find_classes,
                      read_checkpoint, read_config)
from .output import ResultWriter
from .reference import build_reference
from .tags import predict_tags, read_tags

Inputs = Union[Input, Sequence[Input]]


class GroupCAMInferencer(BaseInferencer):
    """Class maps and labels of images by a trained ``GroupCAM``.

    ``GroupCAMInferencer(config, weights)('photo.jpg')`` does what
    ``tools/test.py`` and ``PseudoLabelHook`` do for a data set; equal
    images, tags and partners give equal labels. Weights are read
    without running code that the file carries.

    Args:
        model (str | dict | Config): Config of stage 1, or its path.
        weights (str): Checkpoint: file or address.
        device (str, optional): Defaults to None, a GPU if there is one.
        classes (str | Sequence[str], optional): Class names, or a dump or
            file that has them. Defaults to None: those that the checkpoint
            carries, see :func:`.network.find_classes`.
        reference (optional): Where partners come from: a folder or glob
            (tags of its images are predicted once), an image list with
            tags, a data set or its config. Partners follow from image id,
            tags and ``seed`` alone. Defaults to None: every image is a
            group of its own.
        reference_root (str, optional): Folder of the images of an
            image list. Defaults to None, that of the list.
        group_size (int, optional): K of the groups. Defaults to None: as
            the config tests, or trains.
        match (str, optional): Rule of partners, see ``GroupedDataset``.
            Defaults to None, that of the config, else ``'any'``.
        seed (int, optional): Seed of the draw. Defaults to None, that of
            the config, else 0.
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
        palette (Sequence, optional): RGB of the labels. Defaults to None,
            VOC colours.
        show_progress (bool): Bars on stderr. Defaults to True.

    Raises:
        InputError: A file is missing or damaged, weights or class names do
            not fit, or an option cannot be used.
    """

    preprocess_kwargs: set = {'tags'}
    visualize_kwargs: set = {'return_vis'}
    postprocess_kwargs: set = {'out_dir', 'keep_scores'}

    def __init__(self,
                 model: Union[str, dict, Config],
                 weights: str,
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
                 palette: Optional[Sequence] = None,
                 show_progress: bool = True) -> None:
        cfg = read_config(model)
        if device is not None:
            check_device(device)
        self.weights = str(weights)
        self.tta = tta
        self.tag_threshold = tag_threshold
        self._classes = classes
        super().__init__(
            cfg,
            self.weights,
            device,
            scope=cfg.get('default_scope', None) or 'group_wsss',
            show_progress=show_progress)
        self.labelling = Labelling(cfg, refiners, labeler, bg_threshold)
        if palette is None:
            palette = hook_config(cfg).get('palette')
        self.palette = palette
        self._settle_groups(reference, reference_root, group_size, match, seed)

    def _settle_groups(self, reference: Any, root: Optional[str],
                       group_size: Optional[int], match: Optional[str],
                       seed: Optional[int]) -> None:
        """How partners are found, and among which images."""
        data = (self.cfg.get('test_dataloader', None) or {}).get('dataset')
        data = data if isinstance(data, dict) else {}
        self.group_size = group_size or data.get('group_size', 1)
        self.match = match or data.get('match', 'any')
        self.seed = data.get('seed', 0) if seed is None else seed
        self.reference = None
        if reference is None:
            self.group_size = 1
            return
        if self.group_size < 2:
            raise InputError('reference: partners need group_size >= 2, it '
                             f'is {self.group_size}')
        steps = [self.loader, *self.pipeline.transforms]
        self.reference = build_reference(
            reference, root, self.classes, steps, self.scope,
            lambda photos: self._predict_tags(photos, 1, 'Reference')[0])

    def _init_model(self, cfg: Config, weights: str, device: str) -> nn.Module:
        """See ``BaseInferencer``; settles the class names as well."""
        checkpoint = read_checkpoint(weights)
        self.classes = find_classes(self._classes, checkpoint, weights, cfg)
        net = build_network(cfg, checkpoint, weights, len(self.classes))
        if not isinstance(net, GroupCAM):
            raise InputError(
                f'{cfg.filename or "config"}: its model is '
                f'{type(net).__name__}; GroupCAMInferencer is for stage 1, '
                'group_wsss.GroupCAM')
        if net.head.num_classes != len(self.classes):
            raise InputError(f'{len(self.classes)} class names for a network '
                             f'of {net.head.num_classes} classes')
        if self.tta:
            if not cfg.get('tta_model') or not cfg.get('tta_pipeline'):
                raise InputError(f'{cfg.filename or "config"}: tta needs '
                                 'tta_model and tta_pipeline')
            net = MODELS.build(dict(cfg.tta_model, module=net))
        return net.to(device).eval()

    def _init_pipeline(self, cfg: Config) -> Compose:
        """The test pipeline behind its loader."""
        data = cfg.get('test_dataloader', None)
        while isinstance(data, dict) and 'dataset' in data:
            data = data['dataset']
        steps = (data or {}).get('pipeline')
        steps = cfg.tta_pipeline if self.tta else steps
        if not steps:
            raise InputError(f'{cfg.filename or "config"}: has no test '
                             'pipeline (test_dataloader.dataset.pipeline)')
        with DefaultScope.overwrite_default_scope(self.scope):
            steps = [TRANSFORMS.build(dict(step)) for step in steps]
        loads = [s for s in steps if type(s).__name__.startswith('Load')]
        self.loader = loads[0] if loads else LoadImage()
        return Compose([step for step in steps if step not in loads])

    def _init_collate(self, cfg: Config) -> Callable:
        """Groups side by side."""
        return group_collate

    def _init_visualizer(self, cfg: Config) -> None:
        """None: labels are painted without a window."""

    def __call__(self,
                 inputs: Inputs,
                 return_datasamples: bool = False,
                 batch_size: int = 1,
                 *,
                 tags: Any = None,
                 return_vis: bool = True,
                 out_dir: Optional[str] = None,
                 keep_scores: bool = False) -> list:
        """Label images.

        Args:
            inputs (str | Path | np.ndarray | Sequence): See
                :func:`.photos.list_photos`; arrays are BGR.
            return_datasamples (bool): Give ``DataSample`` objects, with
                ``pred_sem_seg`` ``(1, H, W)``, instead of dicts. Defaults to
                False.
            batch_size (int): Groups in a batch. Defaults to 1.
            tags (Sequence, optional): Names or ids, one list for all
                images or a list for each. Defaults to None, predicted
                on each image alone.
            return_vis (bool): Paint labels. Defaults to True.
            out_dir (str, optional): Write a dump there: ``<id>.png``,
                ``ids.txt``, ``manifest.json``, and ``overlays/<id>.jpg``. It
                appears when all images are done. Defaults to None.
            keep_scores (bool): Score maps in the dump. Defaults to False.

        Returns:
            list: For each image a dict: ``img_id``; ``tags``, names;
            ``scores``, a float for each class name (those that the tags
            were predicted by, else those of the group); ``score_map``, a
            ``ScoreMap`` behind the refiners; ``label``, uint8 ``(H, W)`` (0
            background, class id + 1, 255 unknown); ``visualization``, RGB
            uint8 ``(H, W, 3)``.

        Raises:
            InputError: An image, a tag or the folder cannot be used.
        """
        return list(
            self.stream(inputs, return_datasamples, batch_size, tags,
                        return_vis, out_dir, keep_scores))

    def stream(self,
               inputs: Inputs,
               return_datasamples: bool = False,
               batch_size: int = 1,
               tags: Any = None,
               return_vis: bool = True,
               out_dir: Optional[str] = None,
               keep_scores: bool = False) -> Iterator[Any]:
        """As a call, one image at a time: for more than fit in memory.

        Args:
            inputs (str | Path | np.ndarray | Sequence): As for a call, and so
                are the other arguments.

        Yields:
            dict | DataSample: One for each image, in their order.
        """
        start = time.perf_counter()
        photos = self._inputs_to_list(inputs)
        if batch_size < 1:
            raise InputError(f'batch_size is {batch_size}, must be >= 1')
        scores: Optional[List[np.ndarray]] = None
        labels = (None if tags is None else read_tags(tags, len(photos),
                                                      self.classes))
        with ResultWriter(out_dir, photos, self.classes, self.palette,
                          keep_scores) as writer:
            if labels is None:
                labels, scores = self._predict_tags(photos, batch_size)
            batches = self.preprocess(photos, batch_size, tags=labels)
            samples = self._samples(batches, len(photos), 'Class maps')
            # samples first: the bar ends when they are asked for one too many
            pairs = zip(samples, photos)
            items = (Item(photo, sample) for sample, photo in pairs)
            for i, item in enumerate(self.labelling(items)):
                # one painting serves the caller and the dump
                vis: Any = None
                if return_vis or out_dir:
                    vis = self.visualize([item.photo], [item.label])[0]
                writer.write(item.score_map, item.label, vis)
                yield self.postprocess([item], [vis] if return_vis else [],
                                       return_datasamples, scores
                                       and scores[i:i + 1])[0]
            writer.finish(
                self.cfg,
                weights=self.weights,
                labeler=self.labelling.labeler_cfg,
                refiners=self.labelling.refiners_cfg,
                chosen_thresholds=self.labelling.thresholds,
                seed=self.seed,
                duration=round(time.perf_counter() - start, 3))

    def _inputs_to_list(self, inputs: Inputs) -> List[Photo]:
        return list_photos(inputs)

    def preprocess(self,
                   inputs: List[Photo],
                   batch_size: int = 1,
                   tags: Optional[List[List[int]]] = None,
                   group_size: Optional[int] = None) -> Iterator[dict]:
        """Batches of groups.

        Args:
            inputs (list[Photo]): The images.
            batch_size (int): Groups in a batch. Defaults to 1.
            tags (list[list[int]], optional): Class ids of each. Defaults to
                None, none at all.
            group_size (int, optional): Defaults to that of the inferencer.

        Yields:
            dict: What the model's ``test_step`` takes.
        """
        photos = PhotoSet(inputs, tags or [[]] * len(inputs), self.classes,
                          self.loader, self.pipeline)
        groups = GroupedDataset(
            photos,
            group_size or self.group_size,
            self.match,
            self.seed,
            reference=self.reference)
        items = (groups[i] for i in range(len(groups)))
        yield from map(self.collate_fn,
                       self._get_chunk_data(items, batch_size))

    def _samples(self, batches: Iterable[dict], total: int,
                 what: str) -> Iterator[DataSample]:
        """Predictions for the anchors, with a bar."""
        found = (sample for batch in batches for sample in self.forward(batch))
        if self.show_progress and not (sys.stdout.isatty()
                                       and sys.stderr.isatty()):
            # bars would catch what is printed for a file
            return Progress(what).over(found, total)
        return iter(
            track(
                found,
                description=what,
                total=total,
                console=Console(stderr=True),
                disable=not self.show_progress))

    def _predict_tags(
            self,
            photos: List[Photo],
            batch_size: int,
            what: str = 'Tags') -> Tuple[List[List[int]], List[np.ndarray]]:
        """Class ids of images by the scores of each alone."""
        batches = self.preprocess(photos, batch_size, group_size=1)
        scores = [
            sample.pred_score.cpu().numpy()
            for sample in self._samples(batches, len(photos), what)
        ]
        return [predict_tags(s, self.tag_threshold) for s in scores], scores

    def visualize(self,
                  inputs: List[Photo],
                  preds: List[np.ndarray],
                  return_vis: bool = True) -> List[np.ndarray]:
        """Labels over their images.

        Args:
            inputs (list[Photo]): The images.
            preds (list[np.ndarray]): Their labels, uint8 ``(H, W)``.
            return_vis (bool): False for none. Defaults to True.

        Returns:
            list[np.ndarray]: RGB uint8 ``(H, W, 3)``.
        """
        return [
            paint_label(label, photo.rgb(), self.palette)
            for photo, label in zip(inputs, preds) if return_vis
        ]

    def postprocess(self,
                    preds: List[Item],
                    visualization: List[np.ndarray],
                    return_datasamples: bool = False,
                    scores: Optional[List[np.ndarray]] = None) -> list:
        """Results as the call gives them.

        Args:
            preds (list[Item]): Labelled images.
            visualization (list[np.ndarray]): Paintings of them, or none.
            return_datasamples (bool): See the call. Defaults to False.
            scores (list[np.ndarray], optional): ``(C, )`` each. Defaults to
                None, those of the groups.

        Returns:
            list[dict | DataSample]: See the call.
        """
        results = []
        for i, item in enumerate(preds):
            sample = item.sample
            if scores is not None:
                sample.set_pred_score(torch.from_numpy(scores[i]))
            if return_datasamples:
                sample.pred_sem_seg = PixelData(
                    data=torch.from_numpy(item.label)[None])
                results.append(sample)
                continue
            result: Dict[str, Any] = dict(
                img_id=item.photo.img_id,
                tags=[self.classes[c] for c in sample.class_ids.tolist()],
                scores=dict(zip(self.classes, sample.pred_score.tolist())),
                score_map=item.score_map,
                label=item.label)
            if visualization:
                result['visualization'] = visualization[i]
            results.append(result)
        return results
