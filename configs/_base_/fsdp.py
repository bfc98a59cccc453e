# Copyright (c) group_wsss contributors. All rights reserved.
# FullyShardedDataParallel in place of DistributedDataParallel, for backbones
# too large for one GPU: weights, gradients and optimizer states are split over
# the processes. Add this file to `_base_` of a config of stage 1 or 2; its
# `DataRunner` takes mmengine's FlexibleRunner then.
# Modules from `min_num_params` weights on are split on their own. Checkpoints
# hold whole weights: tools/test.py reads them on one process.
strategy = dict(
    type='FSDPStrategy',
    model_wrapper=dict(
        type='MMFullyShardedDataParallel',
        use_orig_params=True,
        auto_wrap_policy=dict(
            type='torch.distributed.fsdp.wrap.size_based_auto_wrap_policy',
            min_num_params=5000000)),
    state_dict_cfg='full')
