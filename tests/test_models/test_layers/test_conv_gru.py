# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F

from group_wsss.models import ConvGRU
from group_wsss.utils.errors import InputError


@pytest.mark.parametrize('kernel_size', [1, 3])
@pytest.mark.parametrize('bias', [True, False])
def test_against_formulas(kernel_size, bias):
    gru = ConvGRU(4, kernel_size, bias).double()
    m, h = torch.randn(2, 3, 4, 5, 6, dtype=torch.double)

    def conv(layer, *inputs):
        return F.conv2d(
            torch.cat(inputs, 1),
            layer.weight,
            layer.bias,
            padding=kernel_size // 2)

    z = 1 / (1 + torch.exp(-conv(gru.update_gate, m, h)))
    r = 1 / (1 + torch.exp(-conv(gru.reset_gate, m, h)))
    c = torch.tanh(conv(gru.candidate, m, r * h))
    torch.testing.assert_close(gru(m, h), (1 - z) * h + z * c)
    assert (gru.candidate.bias is not None) == bias
    with pytest.raises(InputError, match='kernel_size'):
        ConvGRU(4, kernel_size + 1)
