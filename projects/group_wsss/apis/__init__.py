# Copyright (c) group_wsss contributors. All rights reserved.
"""From Python: label photographs, export networks."""
from .inferencer import GroupCAMInferencer
from .onnx_export import ClassMapGraph, LogitGraph, export_onnx, verify_onnx

__all__ = [
    'ClassMapGraph', 'GroupCAMInferencer', 'LogitGraph', 'export_onnx',
    'verify_onnx'
]
