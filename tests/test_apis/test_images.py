# Copyright (c) group_wsss contributors. All rights reserved.
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from group_wsss.apis.images import list_images
from group_wsss.utils.errors import InputError


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ('b.jpg', 'a.PNG', 'sub/a.jpg', '.hidden.jpg'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (6, 7, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    (tmp_path / 'notes.txt').write_text('x')
    return tmp_path


def ids(inputs):
    return [image.img_id for image in list_images(inputs)]


def test_what_is_an_image(folder, monkeypatch):
    assert ids(str(folder)) == ids(folder) == ['a', 'b']
    assert list_images(folder)[0].source == str(folder / 'a.PNG')
    assert ids(str(folder / 'b.jpg')) == ['b']
    assert ids([folder / 'b.jpg', str(folder / 'a.PNG')]) == ['b', 'a']
    # what lies below the fixed part of a glob keeps its folder
    assert ids(f'{folder}/**/*.*') == ['a', 'b', 'sub/a']
    assert ids(f'{folder}/s*/a.jpg') == ['sub/a']
    monkeypatch.chdir(folder)
    assert ids('*.jpg') == ['b'] and ids('b.jpg') == ['b']
    assert ids('.') == ['a', 'b']
    assert ids('https://host/x/c.jpg') == ['c']


def test_other_formats_are_told(folder, monkeypatch):
    said = []
    monkeypatch.setattr(f'{list_images.__module__}.print_log',
                        lambda text, **kwargs: said.append(text))
    ids(folder)
    ids([folder / 'b.jpg'])
    assert not said
    for name in ('c.gif', 'd.HEIC'):
        (folder / name).write_bytes(b'x')
    assert ids(folder) == ['a', 'b']
    text, = said
    assert text == (f'{folder}: 2 images of other formats are left out, such '
                    'as c.gif: convert them')
    with pytest.raises(
            InputError,
            match=r'no images found .*; 1 images of '
            'other formats are left out, such as c.gif: convert'):
        ids(f'{folder}/*.gif')


def test_arrays(folder):
    array = np.zeros((4, 5, 3), np.uint8)
    array[..., 0] = 7
    images = list_images([array, folder / 'b.jpg', array])
    assert [p.img_id for p in images] == ['image_00000', 'b', 'image_00002']
    assert ids(array) == ['image_00000']
    assert (images[0].rgb() == [0, 0, 7]).all()
    want = np.asarray(Image.open(folder / 'a.PNG'))
    assert (list_images(folder)[0].rgb() == want).all()


@pytest.mark.parametrize('inputs, words', [
    ('none.jpg', 'none.jpg: no such file or folder'),
    ('none/', 'no such file or folder'),
    ('empty', 'empty: no images found (.jpg'),
    ('*.gif', '*.gif: no images found'),
    ([], 'the list of images is empty'),
    (3, 'an image is a path or an array, not a int'),
    (np.zeros((4, 5), np.uint8), 'uint8 (H, W, 3) in BGR, got uint8 (4, 5)'),
    (np.zeros((4, 5, 3)), 'got float64 (4, 5, 3)'),
    (np.zeros((0, 5, 3), np.uint8), 'got uint8 (0, 5, 3)'),
    (['b.jpg', 'sub/b.png'], "sub/b.png: has the name 'b' of b.jpg"),
    (['b.jpg', 'b.jpg'], 'names of their own'),
])
def test_bad_input(folder, monkeypatch, inputs, words):
    monkeypatch.chdir(folder)
    os.mkdir('empty')
    Path('sub/b.png').write_bytes(b'x')
    with pytest.raises(InputError) as caught:
        list_images(inputs)
    assert words in str(caught.value) and '\n' not in str(caught.value)
