# Copyright (c) group_wsss contributors. All rights reserved.
from .build import build_weak_encoder_decoder
from .soft_labels import absent_classes, stack_soft_labels

__all__ = ['absent_classes', 'build_weak_encoder_decoder', 'stack_soft_labels']
