# Copyright (c) group_wsss contributors. All rights reserved.
"""Export of networks to ONNX."""
from .onnx_check import verify_onnx
from .onnx_export import ClassMapGraph, LogitGraph, export_onnx

__all__ = ['ClassMapGraph', 'LogitGraph', 'export_onnx', 'verify_onnx']
