# Copyright (c) group_wsss contributors. All rights reserved.
"""Waiting, labels, images, equal bytes and a recipe: more rows of gpu.py."""
import copy
import hashlib
import json
import os
import os.path as osp
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from glob import glob
from itertools import islice
from typing import Any, Dict, Tuple

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed
from results import ROOT
from speed_common import paired, seconds
from speed_dump import THRESHOLD
from speed_gpu import Call, Found, Sizes, shipped, step, watch
from speed_step import samples_of
from torch import nn
from torch.autograd import DeviceType

from group_wsss.datasets import VOC_CLASSES
from group_wsss.engine import BFloat16OptimWrapper
from group_wsss.engine.runner.group_size import settle_group_size
from group_wsss.evaluation import dump_classes, evaluate_folder
from group_wsss.pseudo_labels import LabelDump
from group_wsss.pseudo_labels.labelers import ThresholdLabeler
from group_wsss.structures import DumpWriter, ScoreMap
from group_wsss.utils.errors import InputError

# the processor waits for the GPU in these; on a CPU there are only the
# operators that would
WAITS = ('cudaStreamSynchronize', 'cudaEventSynchronize',
         'cudaDeviceSynchronize', 'cudaMemcpy')
OPERATORS = ('aten::_local_scalar_dense', 'aten::nonzero', 'aten::_unique2',
             'aten::unique_dim', 'aten::masked_select', 'aten::equal')
RECIPE = 'benchmarks/configs/gpu_recipe.py'
LIST = 'ImageSets/train_cls.txt'


def waits(name: str, sizes: Sizes, device: str) -> Found:
    """Count how often a training step waits for the GPU, and where."""
    model = shipped(name, device)
    wrapper = BFloat16OptimWrapper(torch.optim.SGD(model.parameters(), 1e-6))
    batch: Dict[str, Any] = dict(
        inputs=list(torch.randint(256, (4, 3, sizes.side, sizes.side)).byte()),
        data_samples=samples_of(4, 4))
    moved = model.data_preprocessor(copy.deepcopy(batch), True)

    def train_step() -> None:
        with wrapper.optim_context(model):
            losses = model(**moved, mode='loss')
        wrapper.update_params(model.parse_losses(losses)[0])

    def count(call: Call) -> int:
        events = watch(call, device).events()
        # it has a range on the GPU too
        span = next(e for e in events if e.name == 'watched'
                    and e.device_type == DeviceType.CPU).time_range
        names = OPERATORS if device == 'cpu' else WAITS
        return sum(
            e.name in names and span.start <= e.time_range.start <= span.end
            for e in events)

    found: Found = {
        'moving the data':
        count(lambda: model.data_preprocessor(copy.deepcopy(batch), True)),
        'loss, gradients, update':
        count(train_step)
    }
    if device != 'cpu':
        torch.cuda.set_sync_debug_mode('warn')
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter('always')
            train_step()
        torch.cuda.set_sync_debug_mode('default')
        places = Counter(f'{osp.basename(w.filename)}:{w.lineno}' for w in seen
                         if 'synchroniz' in str(w.message))
        found['where'] = ', '.join(f'{k} x{n}' for k, n in places.items())
    return found


def dump(model: nn.Module, images: torch.Tensor, k: int, folder: str) -> None:
    """Predict whole groups and write a label for each first image."""
    taken = LabelDump(
        DumpWriter(folder, VOC_CLASSES), ThresholdLabeler(THRESHOLD))
    samples = samples_of(len(images), k)
    for i, sample in enumerate(samples):
        sample.set_metainfo(dict(img_id=str(i), ori_shape=images.shape[2:]))
    model.eval()
    with torch.inference_mode(), torch.autocast(images.device.type,
                                                torch.bfloat16):
        done = model(images, samples, mode='predict')
    model.train()
    for sample in done:
        taken.take(ScoreMap.from_sample(sample))


def labels(name: str, k: int, sizes: Sizes, device: str) -> Found:
    """Measure label images, from pixels on the device to files."""
    images, model = sizes.pixels(sizes.many, device), shipped(name, device)
    with tempfile.TemporaryDirectory() as folder:
        times = paired({'dump': lambda: dump(model, images, k, folder)},
                       sizes.repeats, device, sizes.warmup)
    return {
        'labels a second': sizes.many / k / seconds(times['dump']),
        'images a second': sizes.many / seconds(times['dump']),
        'times': times
    }


def same(name: str, sizes: Sizes, device: str) -> Found:
    """Tell whether two runs of three steps give equal bytes."""

    def run(strict: bool) -> Tuple[str, str]:
        set_random_seed(0, deterministic=strict)
        model, images = shipped(name, device), sizes.pixels(4, device)
        call = step(model, images, 4)
        for _ in range(3):
            call()
        weights, files = hashlib.sha256(), hashlib.sha256()
        for value in model.state_dict().values():
            weights.update(value.cpu().contiguous().numpy().tobytes())
        with tempfile.TemporaryDirectory() as folder:
            dump(model, images, 1, folder)
            for path in sorted(glob(f'{folder}/*.png')):
                with open(path, 'rb') as file:
                    files.update(file.read())
        return weights.hexdigest(), files.hexdigest()

    found: Found = {}
    for title, strict in (('as configs are', False), ('deterministic', True)):
        try:
            for what, one, two in zip(('weights', 'labels'), run(strict),
                                      run(strict)):
                found[f'{what}, {title}'] = 'equal' if one == two else 'differ'
        except RuntimeError as error:  # an operator that has no such way
            found[title] = str(error).splitlines()[0]
        finally:
            torch.use_deterministic_algorithms(False)
            torch.backends.cudnn.deterministic = False
    return found


def need(data: str) -> None:
    """Refuse a folder without the list of images."""
    if not osp.isfile(osp.join(data, LIST)):
        raise InputError(f'{data}: no {LIST}, see benchmarks/gpu.sh --pack')


def loader(data: str, sizes: Sizes, device: str) -> Found:
    """Measure how long a training of ResNet-50 waits for its images."""
    need(data)
    cfg = Config.fromfile(
        osp.join(ROOT, 'configs/_base_/datasets/voc_layout_cls.py'))
    cfg.group_size = 4
    settle_group_size(cfg)
    made = cfg.train_dataloader
    made.num_workers = sizes.workers
    made.dataset.update(data_root=osp.abspath(data), ann_file=LIST)
    made.dataset.pipeline[1].scale = (sizes.side, sizes.side)
    init_default_scope('mmpretrain')
    batches = iter(Runner.build_dataloader(made, seed=0))
    model = shipped('ResNet-50', device)
    wrapper = BFloat16OptimWrapper(torch.optim.SGD(model.parameters(), 1e-6))
    for i in range(-2, sizes.batches):
        before = time.perf_counter()
        if i in (-2, 0):
            waited, start = 0., before
        batch = next(batches)
        waited += time.perf_counter() - before
        float(model.train_step(batch, wrapper)['loss'])  # waits for the GPU
    training = time.perf_counter() - start
    # what was read ahead does not count
    sum(1 for _ in islice(batches, 2 * sizes.workers))
    start = time.perf_counter()
    sum(1 for _ in islice(batches, sizes.batches))
    number = sizes.batches * made.batch_size
    return {
        'waiting for images, % of a training': 100 * waited / training,
        'training, images a second': number / training,
        'the loader alone': number / (time.perf_counter() - start)
    }


def recipe(data: str, work_dir: str, tiny: bool, limit: float) -> Found:
    """Run a recipe end to end; what was done before is not done again.

    Gives the seconds of every stage and the mIoU of the labels; ``failed``
    with the reason if it did not reach its end in ``limit`` seconds.
    """
    need(data)
    os.makedirs(work_dir, exist_ok=True)
    work, log = osp.join(work_dir, 'recipe'), osp.join(work_dir, 'recipe.log')
    options = ['num_workers=8']
    if tiny:
        options = ['num_workers=0', 'persistent_workers=False', 'batch_size=4']
    command = [
        sys.executable, 'tools/make_labels.py', RECIPE, '--data', data,
        '--list', LIST, '--work-dir', work, '--cfg-options'
    ]
    for i in (0, 2) if tiny else (0, 2, 4, 6):
        command += [
            f'stages.{i}.options.train_dataloader.{x}' for x in options
        ] + [f'stages.{i}.options.train_cfg.max_iters=2'] * tiny
    with open(log, 'w') as file:
        process = subprocess.Popen(
            command + ['--until', 'walk'] * tiny,
            cwd=ROOT,
            stdout=file,
            stderr=file,
            start_new_session=True)
        try:
            status = str(process.wait(limit))
        except subprocess.TimeoutExpired:
            status = f'stopped after {limit:.0f} s'
        finally:
            if process.poll() is None:  # stages are processes of their own
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    found: Found = {}
    if status != '0':
        with open(log) as file:
            last = file.read().strip().splitlines()[-1:]
        found['failed'] = ': '.join([status, *last])[:300]
    for path in sorted(glob(f'{work}/stages/*.json'), key=osp.getmtime):
        with open(path) as file:
            stage = json.load(file)
        if stage['done']:
            found[f'{osp.basename(path)[:-5]}, s'] = stage['seconds']
    made = osp.join(work, 'walk' if tiny else 'labels')
    if osp.isfile(osp.join(made, 'manifest.json')):
        found['mIoU of the labels'] = evaluate_folder(
            made,
            osp.join(data, 'SegmentationClass'),
            classes=dump_classes(made, None))['mIoU']
    return found
