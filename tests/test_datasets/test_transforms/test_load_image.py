# Copyright (c) group_wsss contributors. All rights reserved.
import io
import sys

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from group_wsss.datasets import LoadImage
from group_wsss.structures.label_image import voc_palette
from group_wsss.utils.errors import InputError

GRAY = np.clip(np.add.outer(np.arange(40) * 3,
                            np.arange(60) * 2), 0, 255).astype(np.uint8)
RGB = np.stack([GRAY, GRAY[::-1], np.full_like(GRAY, 77)], -1)


def load(path, **kwargs):
    return LoadImage(**kwargs)(dict(img_path=str(path)))


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif'])
def test_exif_as_mmcv(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f'a.{suffix}'
    Image.fromarray(RGB).save(path, exif=exif, quality=95)
    ours = load(path)
    stock = mmcv.transforms.LoadImageFromFile()(dict(img_path=str(path)))
    np.testing.assert_array_equal(ours['img'], stock['img'])
    assert ours['ori_shape'] == ours['img_shape'] == stock['ori_shape']
    assert ours['ori_shape'] == ((40, 60) if orientation < 5 else (60, 40))
    assert ours['img'].flags.c_contiguous and ours['img'].dtype == np.uint8


def test_damaged_exif_is_ignored(tmp_path):
    path = tmp_path / 'a.jpg'
    Image.fromarray(RGB).save(path, exif=b'Exif\0\0MM\0*\0\0\0\x08\xff\xff')
    assert load(path)['img'].shape == (40, 60, 3)


@pytest.mark.parametrize('channels', [1, 3])
def test_16_bit(tmp_path, channels):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 65536, (20, 30, channels)).astype(np.uint16)
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, values)
    np.testing.assert_array_equal(load(path)['img'], cv2.imread(path))
    assert load(path)['img'].max() > 250


def test_cmyk_and_alpha(tmp_path):
    path = tmp_path / 'a.jpg'
    Image.fromarray(RGB).convert('CMYK').save(path, quality=95)
    found = load(path)['img'][..., ::-1].astype(int)
    assert np.abs(found - RGB).max() < 12
    path = tmp_path / 'b.png'
    alpha = np.dstack([RGB, np.zeros_like(GRAY)])  # fully transparent
    Image.fromarray(alpha).save(path)
    np.testing.assert_array_equal(load(path)['img'][..., ::-1], RGB)


@pytest.mark.parametrize('shape', [(1, 300), (300, 1), (1, 1)])
def test_one_pixel(tmp_path, shape):
    image = (np.arange(np.prod(shape)) % 200).reshape(shape).astype(np.uint8)
    for pixels in (image, np.dstack([image] * 3)):
        Image.fromarray(pixels).save(tmp_path / 'a.png')
        result = load(tmp_path / 'a.png')
        assert result['img'].shape == (*shape, 3)
        assert result['ori_shape'] == shape


def encoded(image, kind, **kwargs):
    buffer = io.BytesIO()
    image.save(buffer, kind, **kwargs)
    return buffer.getvalue()


JPEG = encoded(Image.fromarray(RGB).resize((200, 200)), 'JPEG')
PNG = encoded(Image.fromarray(RGB), 'PNG')


@pytest.mark.parametrize('content, message', [
    (b'', 'the file is empty'),
    (JPEG[:len(JPEG) // 2], 'truncated'),
    (JPEG[:100], 'truncated or corrupt'),
    (PNG[:len(PNG) // 2], 'truncated'),
    (PNG[:40] + b'xx' + PNG[42:], ''),
    (b'<html>404</html>', 'not an image'),
    (None, 'no such image'),
    ('folder', 'cannot be read'),
])
def test_broken(tmp_path, content, message):
    path = tmp_path / 'a.jpg'
    if content == 'folder':
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f'^{path}: .*{message}') as caught:
        load(path)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('kind', [
    dict(),
    dict(progressive=True),
    dict(subsampling=0),
    dict(quality=40),
    dict(restart_marker_blocks=4)
])
@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_jpeg_as_pillow_reads_it(tmp_path, kind, mode, monkeypatch):
    """Whoever decodes; a cut file goes to Pillow, which refuses it."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (9, 11, 3), np.uint8))
    content = encoded(noise.resize((61, 43)).convert(mode), 'JPEG', **kind)
    path = tmp_path / 'a.jpg'
    path.write_bytes(content)
    with Image.open(path) as image:
        want = np.asarray(image.convert('RGB'))[..., ::-1]
    np.testing.assert_array_equal(load(path)['img'], want)
    path.write_bytes(content[:-40] + b'x' * 38)
    with pytest.raises(InputError, match='truncated or corrupt'):
        load(path)
    path.write_bytes(content)

    def refuse(*args):
        raise cv2.error('pixels <= CV_IO_MAX_IMAGE_PIXELS')

    for other in (refuse, lambda *args: None, lambda *args: want[1:]):
        monkeypatch.setattr(cv2, 'imdecode', other)
        np.testing.assert_array_equal(load(path)['img'], want)


def test_jpeg_with_a_foreign_marker_is_refused(tmp_path):
    """OpenCV takes it for the end and fills the rest with gray."""
    path = tmp_path / 'a.jpg'
    middle = len(JPEG) // 2 + 500
    path.write_bytes(JPEG[:middle] + b'\xff\xa0' + JPEG[middle:])
    with pytest.raises(InputError, match='truncated or corrupt'):
        load(path)


def test_jpeg_is_not_decoded_twice(tmp_path, monkeypatch):
    path = tmp_path / 'a.jpg'
    path.write_bytes(JPEG)
    monkeypatch.setattr('PIL.ImageFile.ImageFile.load', None)
    assert load(path)['img'].shape == (200, 200, 3)


def test_max_pixels(tmp_path, monkeypatch):
    path = tmp_path / 'a.png'
    Image.fromarray(RGB).save(path)
    assert load(path, max_pixels=2400)['img'].shape == (40, 60, 3)
    with pytest.raises(InputError, match='60x40 pixels .*max_pixels=2399'):
        load(path, max_pixels=2399)
    assert 'max_pixels=2399' in repr(LoadImage(max_pixels=2399))
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    with pytest.raises(InputError, match='decompression bomb'):
        load(path)


def label():
    mask = np.zeros((40, 60), np.uint8)
    mask[5:20, 8:30] = 15
    mask[22:30, 8:30] = 3
    mask[20:22] = 255
    return mask


def test_label_images_are_refused(tmp_path):
    index, path = Image.fromarray(label()), tmp_path / 'a.tif'
    colours = index.copy()
    colours.putpalette(voc_palette().tobytes())
    for image, kind in (
        (index, 'grayscale image with values .* looks like a label'),
        (Image.fromarray(np.uint8(label() == 3)),
         'grayscale image with v'), (colours,
                                     'palette image looks like a label image'),
        (Image.fromarray(label() > 0), '1-bit image looks like a label image'),
        (Image.fromarray(label().astype(np.uint16)),
         '16-bit image without values above 255 looks like a label image'),
        (Image.fromarray(label() * np.int32(70000)),
         'outside 16 bits'), (Image.fromarray(label() / np.float32(3)),
                              'floating-point values')):
        image.save(path)
        with pytest.raises(InputError, match=kind):
            load(path)
    colours.convert('RGB').save(path)  # the way out that the message names
    assert load(path)['img'].shape == (40, 60, 3)
    index.save(tmp_path / 'a.jpg')  # no label is a JPEG
    assert load(tmp_path / 'a.jpg')['img'].shape == (40, 60, 3)


@pytest.mark.parametrize('image', [
    np.zeros((40, 60), np.uint8),
    np.full((40, 60), 255, np.uint8),
    np.full((40, 60), 77, np.uint8),
    GRAY,
    GRAY // 4,
    np.array([[0, 255, 128] * 100], np.uint8),
    np.arange(20, dtype=np.uint8)[None],
])
def test_gray_images_are_not(tmp_path, image):
    Image.fromarray(image).save(tmp_path / 'a.png')
    found = load(tmp_path / 'a.png')['img']
    np.testing.assert_array_equal(found, np.dstack([image] * 3))


@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
@pytest.mark.parametrize('shape', [(40, 60), (40, 60, 3)])
def test_twelve_bits_in_sixteen(tmp_path, shape, name, monkeypatch):
    said = []
    module = sys.modules[LoadImage.__module__]
    monkeypatch.setattr(module, 'print_log', lambda m, **_: said.append(m))
    monkeypatch.setattr(module, '_TOLD', bytearray(1))
    image = np.linspace(300, 4095, np.prod(shape)).reshape(shape)
    for scale, count in ((16, 0), (1, 1), (1, 1)):
        pixels = (image * scale).astype(np.uint16)
        cv2.imwrite(str(tmp_path / name), pixels)
        load(tmp_path / name)
        assert len(said) == count  # once a run
    assert said[0].startswith(f'{tmp_path / name}: a 16-bit image that uses ')
