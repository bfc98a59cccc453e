# Copyright (c) group_wsss contributors. All rights reserved.
from contextlib import contextmanager
from typing import Iterator

import torch
import torch.nn as nn
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast

from ...registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Mixed precision in bfloat16, on a CPU too.

    bfloat16 has the range of float32, so that no loss has to be scaled;
    mmengine's ``AmpOptimWrapper`` scales it and refuses to run without an
    accelerator. Weights, gradients and the state of the optimizer stay
    float32. A processor without bfloat16 instructions (AVX512-BF16, AMX)
    gets slower by it. Arguments are those of
    ``mmengine.optim.OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast, and what gradient accumulation asks for.

        Args:
            model (nn.Module): The network that is trained.
        """
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
