# Copyright (c) group_wsss contributors. All rights reserved.
"""When a run without epochs should say something."""
import math

from mmengine.dist import get_world_size
from mmengine.runner import IterBasedTrainLoop, Runner

# more parts of a run than this are no news
_PARTS = 20


def counts_iterations(runner: Runner) -> bool:
    """True where the training loop knows no epochs."""
    return isinstance(runner.train_loop, IterBasedTrainLoop)


def report_interval(runner: Runner) -> int:
    """Iterations in place of an epoch where iterations are counted.

    Args:
        runner (Runner): Of an ``IterBasedTrainLoop``.

    Returns:
        int: Iterations of one pass over the images, or a twentieth of the
        run if that is more.
    """
    # an endless sampler gives the number of images, not its rank's share
    one_pass = len(runner.train_loop.dataloader) / get_world_size()
    return max(1, math.ceil(one_pass), math.ceil(runner.max_iters / _PARTS))
