# Copyright (c) group_wsss contributors. All rights reserved.
import io

import numpy as np
import pytest
from PIL import Image

from group_wsss.structures import encode_index_png, read_index_png
from group_wsss.structures.label_image import voc_palette
from group_wsss.utils.errors import InputError


def test_voc_palette():
    palette = voc_palette()
    assert palette.shape == (256, 3) and palette.dtype == np.uint8
    assert palette[[0, 1, 5, 15, 20, 255]].tolist() == [[0, 0, 0], [128, 0, 0],
                                                        [128, 0, 128],
                                                        [192, 128, 128],
                                                        [0, 64, 128],
                                                        [224, 224, 192]]
    assert len(np.unique(palette, axis=0)) == 256


@pytest.mark.parametrize('shape', ((1, 1), (1, 300), (17, 5)))
def test_round_trip_is_byte_equal(shape, tmp_path):
    label = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = encode_index_png(label)
    assert data == encode_index_png(label.copy(order='F'))
    path = tmp_path / 'x.png'
    path.write_bytes(data)
    np.testing.assert_array_equal(read_index_png(str(path)), label)
    with Image.open(path) as image:
        assert image.mode == 'P'
        np.testing.assert_array_equal(
            np.array(image.convert('RGB')),
            voc_palette()[label])


@pytest.mark.parametrize('mode', ('P', 'L'))
def test_indices_not_colours(mode, tmp_path):
    label = np.array([[0, 7, 255]], dtype=np.uint8)
    image = Image.fromarray(label)
    if mode == 'P':
        image.putpalette(voc_palette()[::-1].tobytes())
    image.save(tmp_path / 'x.png')
    np.testing.assert_array_equal(
        read_index_png(str(tmp_path / 'x.png')), label)


def _file(pixels, kind='PNG'):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)


@pytest.mark.parametrize(
    'data', [
        _file(np.zeros((4, 4, 3), np.uint8)),
        _file(np.zeros((4, 4), np.uint16)),
        _file(np.zeros((4, 4), np.uint8), 'JPEG'),
        encode_index_png(NOISE)[:900], b'not an image', None
    ],
    ids=['rgb', 'deep', 'jpeg', 'truncated', 'text', 'missing'])
def test_everything_else_is_refused_by_name(data, tmp_path):
    path = tmp_path / 'x.png'
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match='x.png') as caught:
        read_index_png(str(path))
    assert '\n' not in str(caught.value)
