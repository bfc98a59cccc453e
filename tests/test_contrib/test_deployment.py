# Copyright (c) group_wsss contributors. All rights reserved.
"""Names of open sizes; ``test_apis/test_onnx_export.py`` has the rest."""
import pytest
import torch.nn as nn

from group_wsss.contrib.deployment import LogitGraph, export_onnx

onnx = pytest.importorskip('onnx', reason='onnx is not installed')


class Net(nn.Module):

    def __init__(self):
        super().__init__()
        self.data_preprocessor = nn.Identity()

    def encode_decode(self, image, metas):
        return nn.functional.avg_pool2d(image, 2)


@pytest.mark.parametrize('dynamic', [False, True])
def test_open_sizes_have_names(dynamic):
    data = export_onnx(LogitGraph(Net()), (8, 6), dynamic)
    graph = onnx.load_from_string(data).graph
    for value, size in ((graph.input[0], [8, 6]), (graph.output[0], [4, 3])):
        sides = value.type.tensor_type.shape.dim[2:]
        assert [side.dim_param or side.dim_value for side in sides
                ] == (['height', 'width'] if dynamic else size)
