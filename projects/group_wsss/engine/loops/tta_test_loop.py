# Copyright (c) group_wsss contributors. All rights reserved.
import copy
from typing import Any, List, Optional

from mmengine.model import BaseTTAModel
from mmengine.registry import MODELS
from mmengine.runner import Runner, TestLoop

from ...registry import LOOPS
from ...utils.errors import InputError
from ..utils import unwrap_model


@LOOPS.register_module()
class TTATestLoop(TestLoop):
    """Test loop with test-time augmentation, for any mmengine config.

    The model that has been trained, or loaded, is wrapped in ``tta_model``
    while the loop runs and is what it was afterwards; the test data come
    through ``tta_pipeline``. Unlike mmengine's ``PrepareTTAHook`` it may run
    any number of times and beside training: with
    ``test_cfg = dict(type='group_wsss.TTATestLoop')`` a training with
    ``PseudoLabelHook`` ends with labels of augmented images.
    ``tools/test.py --tta`` sets just that.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader | dict): Test data. Of a dict, the pipelines
            are replaced, those of datasets inside (``dataset``,
            ``reference``, ``datasets``) included.
        evaluator (Evaluator | dict | list): As in ``TestLoop``.
        fp16 (bool): As in ``TestLoop``. Defaults to False.
        tta_model (dict, optional): Config of a ``BaseTTAModel`` without
            ``module``. Defaults to ``tta_model`` of the runner's config.
        tta_pipeline (list, optional): Defaults to ``tta_pipeline`` of the
            runner's config.

    Raises:
        InputError: The config has one of them nowhere.
    """

    def __init__(self,
                 runner: Runner,
                 dataloader: Any,
                 evaluator: Any,
                 fp16: bool = False,
                 tta_model: Optional[dict] = None,
                 tta_pipeline: Optional[List[dict]] = None) -> None:
        self.tta_model = tta_model or runner.cfg.get('tta_model')
        tta_pipeline = tta_pipeline or runner.cfg.get('tta_pipeline')
        if not self.tta_model or not tta_pipeline:
            raise InputError('TTATestLoop needs tta_model and tta_pipeline')
        if isinstance(dataloader, dict):
            dataloader = copy.deepcopy(dataloader)
            replace_pipelines(dataloader['dataset'], tta_pipeline)
        super().__init__(runner, dataloader, evaluator, fp16)

    def run(self) -> dict:
        """Launch test with the wrapped model.

        Returns:
            dict: Metrics.
        """
        model = self.runner.model
        inner = unwrap_model(model)
        if not isinstance(inner, BaseTTAModel):
            # nothing is reduced over ranks here: without its DDP wrapper
            self.runner.model = MODELS.build(
                dict(copy.deepcopy(self.tta_model), module=inner))
        try:
            return super().run()
        finally:
            self.runner.model = model


def replace_pipelines(dataset: Any, pipeline: List[dict]) -> None:
    """Give all innermost datasets of a config another pipeline.

    Args:
        dataset (dict): Changed in place. Datasets that are built already
            are left alone.
        pipeline (list[dict]): The pipeline.
    """
    if not isinstance(dataset, dict):
        return
    inner = [dataset.get('dataset'), dataset.get('reference')]
    inner += dataset.get('datasets') or []
    for item in inner:
        replace_pipelines(item, pipeline)
    if all(item is None for item in inner):
        dataset['pipeline'] = copy.deepcopy(pipeline)
