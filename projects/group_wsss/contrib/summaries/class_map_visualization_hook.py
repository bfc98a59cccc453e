# Copyright (c) group_wsss contributors. All rights reserved.
import copy
from typing import Any, List, Optional, Sequence, Tuple

from mmengine.dataset import pseudo_collate
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...engine.utils import known_classes, unwrap_model
from ...registry import HOOKS
from ...structures import ScoreMap
from ...utils.errors import InputError
from .class_map_sheet import class_map_sheet
from .fixed_groups import (FixedGroup, add_partners, eval_pipeline,
                           find_places, read_group)
from .intervals import counts_iterations, report_interval
from .undisturbed import undisturbed


@HOOKS.register_module()
class ClassMapVisualizationHook(Hook):
    """Draw the class maps of the same few images after every epoch.

    One sheet, images over class maps in the colours of the classes,
    goes to ``runner.visualizer.add_image`` and so to every backend of
    ``vis_backends``: local files
    (``vis_data/vis_image/class_maps_<epoch>.png``), TensorBoard, WandB.

    Images are those of the training list; their partners are drawn
    once, by the rule and the seed of the training's ``GroupBatchSampler``.
    All are read once, before training, through the pipeline of testing, and
    no mask is. Captions are the tags with the scores of the network.

    The training is the same with and without this hook, bit for bit: see
    :func:`~.undisturbed.undisturbed`. Not so with ``PCAWhitening``, which
    computes its directions anew when it is used in eval mode: buffers are
    not put back yet. The first process draws; others need not wait for it,
    as no process talks to another here.

    Args:
        interval (int): Epochs from one sheet to the next; the last epoch has
            one always. Where iterations are counted, a pass over the images
            takes the place of an epoch, or a twentieth of the run if that
            is more. 0 draws nothing. Defaults to 1.
        num_images (int): Images, the first of the training list by
            image id that have a tag. Defaults to 8.
        image_ids (Sequence[str], optional): These instead.
        indices (Sequence[int], optional): Or those at these places of the
            training list.
        pipeline (Sequence[dict], optional): Transforms. Defaults to None:
            those of ``test_dataloader``, else ``val_dataloader``, of the
            config, without the loading of annotations.
        name (str): Name of the sheet. Defaults to ``'class_maps'``.
        side (int): Longer side of an image on the sheet in pixels.
            Defaults to 176.
        palette (Sequence, optional): RGB by label value. Defaults to
            none, see :func:`~group_wsss.structures.palette.palette_of`.

    Raises:
        InputError: An image id or index that is not in the training list, or
            whose image cannot be read.
    """

    priority = 'LOW'

    def __init__(self,
                 interval: int = 1,
                 num_images: int = 8,
                 image_ids: Optional[Sequence[str]] = None,
                 indices: Optional[Sequence[int]] = None,
                 pipeline: Optional[Sequence[dict]] = None,
                 name: str = 'class_maps',
                 side: int = 176,
                 palette: Optional[Sequence] = None) -> None:
        own = type(self).__name__
        for key, value, least in (('interval', interval, 0),
                                  ('num_images', num_images, 1), ('side', side,
                                                                  32)):
            if value < least:
                raise InputError(f'{key} of {own} is {value}, must be >= '
                                 f'{least}')
        if image_ids is not None and indices is not None:
            raise InputError(f'give image_ids or indices of {own}, not both')
        for key, given in (('image_ids', image_ids), ('indices', indices)):
            if given is not None and not len(given):
                raise InputError(f'{key} of {own} is empty')
        for img_id in image_ids or ():
            # --cfg-options makes a number of 2007_000032
            if not isinstance(img_id, str):
                raise InputError(f'image_ids of {own}: {img_id!r} is no '
                                 'string; name ids in a config file, or use '
                                 'indices')
        self.interval = interval
        self.num_images = num_images
        self.image_ids = image_ids
        self.indices = indices
        self.pipeline = copy.deepcopy(pipeline)
        self.name = name
        self.side = side
        self.palette = palette
        self._wanted = not (image_ids is indices is pipeline)
        self._groups: List[FixedGroup] = []
        self._classes: Sequence[str] = ()
        self._every = 0

    # ---- before training -----------------------------------------------
    def before_train(self, runner: Runner) -> None:
        """Choose the images and read them."""
        self._groups = []
        if not self.interval:
            return
        if counts_iterations(runner):
            self._every = self.interval * report_interval(runner)
        dataset = runner.train_loop.dataloader.dataset
        self._classes = known_classes(dataset) or [str(i) for i in range(256)]
        try:
            # in every process: all have the same to say of a wrong id
            places = find_places(dataset, self.num_images, self.image_ids,
                                 self.indices)
            if is_main_process():
                self._read(runner, places)
        except InputError as error:
            if self._wanted:
                raise InputError(f'{type(self).__name__}: {error}') from None
            # not asked for: what could be trained without, still can
            runner.logger.warning(f'no class maps will be drawn: {error}')

    def _read(self, runner: Runner, places: List[int]) -> None:
        dataset = runner.train_loop.dataloader.dataset
        pipeline = eval_pipeline(runner.cfg, self.pipeline)
        # a transform of testing may be random
        with undisturbed(unwrap_model(runner.model)):
            for row in add_partners(runner, places):
                try:
                    self._groups.append(
                        read_group(dataset, row, pipeline, self.side))
                except InputError as error:
                    if self._wanted:
                        raise
                    # what a damaged one means, the training decides
                    runner.logger.warning('left out of the class maps: '
                                          f'{error}')

    # ---- while training ------------------------------------------------
    def after_train_epoch(self, runner: Runner) -> None:
        """Draw, if epochs are counted and it is time."""
        if self._groups and not self._every and (self.every_n_epochs(
                runner, self.interval) or self.is_last_train_epoch(runner)):
            self._draw(runner, runner.epoch + 1, 'epoch')

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Draw, if iterations are counted and it is time."""
        if self._groups and self._every and (self.every_n_train_iters(
                runner, self._every) or self.is_last_train_iter(runner)):
            self._draw(runner, runner.iter + 1, 'iteration')

    def _draw(self, runner: Runner, step: int, unit: str) -> None:
        model = unwrap_model(runner.model)
        try:
            with undisturbed(model):
                model.eval()
                found = [self._look(model, group) for group in self._groups]
        except InputError as error:
            runner.logger.warning(f'no class maps of {unit} {step} are '
                                  f'drawn: {error}')
            return
        size = len(self._groups[0].items)
        sheet = class_map_sheet(
            [group.image
             for group in self._groups], [score_map for score_map, _ in found],
            [caption for _, caption in found],
            self._classes,
            palette=self.palette,
            title=f'Class maps after {unit} {step}',
            note=f'groups of {size}, always the same' if size > 1 else '',
            side=self.side)
        runner.visualizer.add_image(self.name, sheet, step)

    def _look(self, model: Any, group: FixedGroup) -> Tuple[ScoreMap, str]:
        """Class maps of an image, and what the network says of it."""
        # the model writes into samples; groups see no other groups
        sample = model.test_step(pseudo_collate(copy.deepcopy(group.items)))[0]
        for key in ('class_ids', 'class_maps', 'pred_score'):
            if sample.get(key, None) is None:
                raise InputError(f'{type(model).__name__} predicts no {key}')
        score_map = ScoreMap.from_class_maps(group.img_id,
                                             group.image.shape[:2],
                                             sample.class_ids,
                                             sample.class_maps)
        scores = sample.pred_score.float().cpu().numpy()
        return score_map, ', '.join(f'{self._classes[c]} {scores[c]:.2f}'
                                    for c in score_map.class_ids)
