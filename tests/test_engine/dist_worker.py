# Copyright (c) group_wsss contributors. All rights reserved.
"""Processes of ``test_dist.py``: train, accumulate, dump."""
import importlib.util
import multiprocessing
import os
import pickle
import sys
from pathlib import Path

import numpy as np
from torch import distributed as dist

from group_wsss.engine import AttentionAccumulationHook, PseudoLabelHook

LABELER = dict(type='group_wsss.ThresholdLabeler', bg_threshold=.6)


def main(root: Path, rank: int, world: int) -> None:
    spec = importlib.util.spec_from_file_location(
        'toy',
        Path(__file__).with_name('conftest.py'))
    toy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(toy)
    options = {}
    if world > 1:
        os.environ.update(
            RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank))
        dist.init_process_group(
            'gloo',
            init_method=f'file://{root}/rendezvous',
            rank=rank,
            world_size=world)
        options = dict(
            launcher='pytorch',
            cfg=dict(
                model_wrapper_cfg=dict(
                    type='MMDistributedDataParallel', device_ids=None)))
    model = toy.ToyModel(group_size=2)
    model.rng = np.random.default_rng(rank)
    hooks = [
        AttentionAccumulationHook(labeler=LABELER),
        # the threshold depends on the scores of all processes
        PseudoLabelHook(
            labeler=dict(LABELER, bg_threshold='otsu'), keep_scores=True)
    ]
    labeler = hooks[1].labeler
    plain = labeler.fit

    def fit(histogram):
        (root / f'histogram{rank}').write_bytes(histogram.tobytes())
        return plain(histogram)

    labeler.fit = fit
    # 5 images: with two processes the sampler repeats one
    runner = toy.build_runner(
        root,
        hooks,
        length=3,
        test=True,
        model=model,
        dataset=toy.ToyDataset(5),
        test_dataset=toy.ToyDataset(5, flips=(None, )),
        **options)
    runner.train()
    (root / f'seen{rank}.pkl').write_bytes(pickle.dumps(model.seen))
    if world > 1:
        dist.barrier()
        os._exit(0)  # gloo of torch 2.1 may not come back from its end


if __name__ == '__main__':
    # everything is imported: forks have it too
    context = multiprocessing.get_context('fork')
    jobs = [
        context.Process(
            target=main, args=(Path(sys.argv[1]) / number, i, int(number)))
        for number in sys.argv[2:] for i in range(int(number))
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    sys.exit(any(job.exitcode for job in jobs))
