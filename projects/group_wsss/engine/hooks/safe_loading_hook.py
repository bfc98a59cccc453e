# Copyright (c) group_wsss contributors. All rights reserved.
import logging

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner, find_latest_checkpoint

from ...registry import HOOKS
from ...utils.checkpoint import use_safe_loading
from ...utils.classes import class_difference
from ...utils.errors import InputError
from ...utils.weights import (checkpoint_classes, checkpoint_weights,
                              load_some_weights, load_weights)
from ..class_names import check_class_names, named_datasets
from ..utils import is_resumed


@HOOKS.register_module()
class SafeLoadingHook(Hook):
    """Read checkpoints without running code, and see that they fit.

    From the time it is built on, mmengine reads files and addresses by
    ``group_wsss.utils.checkpoint``, which runs no code that they carry. A
    run that is resumed, validated or tested needs every weight from its
    checkpoint: where mmengine would warn and go on with random ones, this
    hook stops. ``load_from`` of a training and ``init_cfg`` of type
    ``'Pretrained'`` may fit in part, which is told.

    Class names have to agree too, or numbers would mean other classes: those
    of the data with those of the checkpoint (a training with ``load_from`` is
    warned), of the loops with each other, of a dump with the data set that
    reads it.

    Args:
        strict (bool): ``load_from`` of a training is of the same network and
            classes: it needs every weight, too. Defaults to False.
    """

    priority = 'VERY_LOW'

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        # not in before_run, before which FlexibleRunner has loaded already
        use_safe_loading()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Fill the model, before mmengine does, and compare class names.

        Args:
            runner (Runner): With the model.
            checkpoint (dict): What was read.

        Raises:
            InputError: Other class names, or the first weight that is
                missing or does not fit; in a new training only if none fits.
        """
        trains = isinstance(runner.optim_wrapper,
                            (OptimWrapper, OptimWrapperDict))
        tunes = trains and not is_resumed(runner) and not self.strict
        name = str(
            runner.cfg.get('load_from', None)
            or find_latest_checkpoint(runner.work_dir))
        names = checkpoint_classes(checkpoint)
        differences = (class_difference(dataset.metainfo['classes'], source,
                                        names, name)
                       for source, dataset in named_datasets(runner) if names)
        text = next(filter(None, differences), None)
        if text and not tunes:
            raise InputError(f'{text}; give the list of the training, or '
                             'one with the same names in the same order')
        if text:
            print_log(
                f'{text}; right if other classes are to be learnt',
                logger='current',
                level=logging.WARNING)
        if tunes:
            load_some_weights(runner.model, checkpoint_weights(checkpoint),
                              name)
        else:
            load_weights(runner.model, checkpoint, name)

    def before_train(self, runner: Runner) -> None:
        """See that the class names of all data sets agree."""
        check_class_names(runner)

    def before_test(self, runner: Runner) -> None:
        """See that the class names of all data sets agree."""
        check_class_names(runner)
