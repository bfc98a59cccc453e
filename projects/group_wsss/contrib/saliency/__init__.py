# Copyright (c) group_wsss contributors. All rights reserved.
"""Saliency maps of a U2-Net or IS-Net in ONNX."""
from .make_saliency import SETTINGS, make_saliency
from .saliency_model import KINDS, SaliencyModel, package_model_path

__all__ = [
    'KINDS', 'SETTINGS', 'SaliencyModel', 'make_saliency', 'package_model_path'
]
