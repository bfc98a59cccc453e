# Copyright (c) group_wsss contributors. All rights reserved.
from .saliency_labeler import SaliencyLabeler
from .threshold_labeler import ThresholdLabeler

__all__ = ['SaliencyLabeler', 'ThresholdLabeler']
