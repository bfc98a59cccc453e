# Copyright (c) group_wsss contributors. All rights reserved.
"""Child registries of the mmengine root, scope ``group_wsss``.

Written out with their scope so that ``type='group_wsss.X'`` works from every
default scope, with no ``custom_imports``. Nothing heavy is imported here:
mmengine imports this module before any component.
"""
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

# image-level datasets, the toy set, the wrapper for groups at inference
DATASETS = Registry(
    'dataset',
    parent=MMENGINE_DATASETS,
    scope='group_wsss',
    locations=['group_wsss.datasets'])
# batch samplers that draw groups
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=MMENGINE_DATA_SAMPLERS,
    scope='group_wsss',
    locations=['group_wsss.datasets'])
# image loading that refuses what is not an image, scores of a dump
TRANSFORMS = Registry(
    'transform',
    parent=MMENGINE_TRANSFORMS,
    scope='group_wsss',
    locations=['group_wsss.datasets'])
# collate functions
FUNCTIONS = Registry(
    'function',
    parent=MMENGINE_FUNCTIONS,
    scope='group_wsss',
    locations=['group_wsss.datasets'])
# classifier, neck, head and layers
MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='group_wsss',
    locations=[
        'group_wsss.models', 'group_wsss.contrib.recam',
        'group_wsss.contrib.seam'
    ])
# labelers and refiners: class maps in, label images out
TASK_UTILS = Registry(
    'task util',
    parent=MMENGINE_TASK_UTILS,
    scope='group_wsss',
    locations=['group_wsss.pseudo_labels'])
# class-map and pseudo-label metrics
METRICS = Registry(
    'metric',
    parent=MMENGINE_METRICS,
    scope='group_wsss',
    locations=['group_wsss.evaluation.metrics'])
# hooks that accumulate, dump and check
HOOKS = Registry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope='group_wsss',
    locations=[
        'group_wsss.engine', 'group_wsss.contrib.noisy_tags',
        'group_wsss.contrib.reliability', 'group_wsss.contrib.summaries'
    ])
# a runner that counts the classes of the data
RUNNERS = Registry(
    'runner',
    parent=MMENGINE_RUNNERS,
    scope='group_wsss',
    locations=['group_wsss.engine.runner'])
# mixed precision without an accelerator
OPTIM_WRAPPERS = Registry(
    'optim_wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope='group_wsss',
    locations=['group_wsss.engine'])
# test-time augmentation
LOOPS = Registry(
    'loop',
    parent=MMENGINE_LOOPS,
    scope='group_wsss',
    locations=['group_wsss.engine'])
