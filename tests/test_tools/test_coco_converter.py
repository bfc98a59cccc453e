# Copyright (c) group_wsss contributors. All rights reserved.
"""tools/dataset_converters/coco.py: masks, lists, checksums, resume."""
import contextlib
import hashlib
import io
import json
from itertools import groupby

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from group_wsss.contrib.converters.coco_render import paint_instances
from group_wsss.datasets import COCO_CLASSES, CocoImageLevel, ImageLevelDataset
from group_wsss.structures.label_image import voc_palette
from .conftest import files_of

# COCO's ids: 1 to 90 with ten gaps
GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
IDS = [number for number in range(1, 91) if number not in GAPS]
CATEGORIES = [dict(id=i, name=name) for i, name in zip(IDS, COCO_CLASSES)]
SHAPE = (20, 30)


def box(top, left, bottom, right):
    """Polygon of a rectangle."""
    return [left, top, right, top, right, bottom, left, bottom]


def compressed(cover):
    code = mask_utils.encode(np.asfortranarray(cover.astype(np.uint8)))
    return dict(size=list(cover.shape), counts=code['counts'].decode())


def counted(cover):
    """RLE without compression: runs down the columns, of zeros first."""
    pixels = [False, *cover.reshape(-1, order='F').tolist()]
    runs = [len(list(run)) for _, run in groupby(pixels)]
    return dict(size=list(cover.shape), counts=[runs[0] - 1, *runs[1:]])


def disc(row, column, radius):
    rows, columns = np.mgrid[:SHAPE[0], :SHAPE[1]]
    return (rows - row)**2 + (columns - column)**2 <= radius**2


# image: (category id, crowd, segmentation); a large object comes after a
# small one, a crowd lies across both
SCENES = dict(
    a=[(62, 0, [box(5, 5, 9, 9)]), (67, 0, [box(2, 2, 16, 20)]),
       (1, 1, counted(disc(9, 12, 6)))],
    b=[(90, 0, compressed(disc(9, 9, 5))),
       (13, 0, [box(0, 0, 4, 4), [20.5, 3.2, 28.1, 9.9, 19.7, 15.1]])],
    c=[])  # yapf: disable


def write_root(root, split='train2014', scenes=SCENES, suffix=''):
    for folder in ('annotations', split):
        (root / folder).mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number, (name, entries) in enumerate(scenes.items()):
        name += suffix
        Image.new('RGB', SHAPE[::-1]).save(root / split / f'{name}.jpg')
        images.append(
            dict(
                id=number,
                file_name=f'{name}.jpg',
                height=SHAPE[0],
                width=SHAPE[1]))
        annotations += [
            dict(
                id=100 * number + place,
                image_id=number,
                category_id=category,
                iscrowd=crowd,
                segmentation=segmentation)
            for place, (category, crowd, segmentation) in enumerate(entries)
        ]
    content = dict(
        categories=CATEGORIES, images=images, annotations=annotations)
    path = root / f'annotations/instances_{split}.json'
    path.write_text(json.dumps(content))
    return content


@pytest.fixture
def root(tmp_path):
    write_root(tmp_path)
    return tmp_path


@pytest.fixture
def convert(call_tool, root, capsys):
    """Run the tool on the root; what it printed."""

    def call(*args, split='train2014'):
        call_tool('dataset_converters/coco', '--root', root, '--split', split,
                  *args)
        return capsys.readouterr().out

    return call


@pytest.fixture
def refused(refuse, root):
    """Run the tool; the one line that it ends with."""

    def call(*args, split='train2014'):
        return refuse('dataset_converters/coco', '--root', root, '--split',
                      split, *args)

    return call


def read(root, name):
    with Image.open(root / f'SegmentationClass/{name}.png') as image:
        assert image.mode == 'P'
        assert image.getpalette()[:768] == voc_palette().reshape(-1).tolist()
        return np.array(image)


def manifest(root, split='train2014'):
    path = root / f'SegmentationClass/manifest_{split}.json'
    return json.loads(path.read_text())


def covers_by_api(root):
    """Masks of all annotations by pycocotools' own class, by image."""
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO(str(root / 'annotations/instances_train2014.json'))
    return {
        info['file_name'][0]:
        [(api.annToMask(entry).astype(bool),
          IDS.index(entry['category_id']) + 1, entry['iscrowd'])
         for entry in api.imgToAnns[key]]
        for key, info in api.imgs.items()
    }


@pytest.mark.parametrize('crowd', ['unknown', 'class', 'background'])
@pytest.mark.parametrize('overlap', ['small-over-large', 'annotation-order'])
def test_rules(root, convert, overlap, crowd):
    convert('--overlap', overlap, '--crowd', crowd)
    several = 0
    for name, layers in covers_by_api(root).items():
        wanted = np.zeros(SHAPE, np.uint8)
        for row in range(SHAPE[0]):
            for column in range(SHAPE[1]):
                best = None  # of those that cover the pixel
                for cover, value, is_crowd in layers:
                    if not cover[row, column] or (is_crowd
                                                  and crowd == 'background'):
                        continue
                    several += best is not None
                    if (best is None or overlap == 'annotation-order'
                            or cover.sum() <= best[0]):
                        unknown = is_crowd and crowd == 'unknown'
                        best = cover.sum(), 255 if unknown else value
                if best is not None:
                    wanted[row, column] = best[1]
        assert np.array_equal(read(root, name), wanted)
    assert several > 10  # else the rules are not seen
    content = manifest(root)
    assert content['settings']['overlap'] == overlap
    values = np.stack([read(root, name) for name in 'abc'])
    names = ('background', ) + COCO_CLASSES
    assert content['pixels'] == {
        **{
            name: int((values == i).sum())
            for i, name in enumerate(names)
        }, 'unknown': int((values == 255).sum())
    }


def test_equal_areas_and_an_invisible_crowd():
    one = np.zeros((2, 4), bool)
    other = one.copy()
    one[0], other[:, 1:3] = True, True
    label = paint_instances((2, 4), [one, other], [4, 6], [False, False])
    assert label.tolist() == [[5, 7, 7, 5], [0, 7, 7, 0]]
    label = paint_instances((2, 4), [], [], [])
    assert label.dtype == np.uint8 and not label.any()


def test_lists(root, convert):
    convert('--no-masks')
    assert not (root / 'SegmentationClass').exists()
    out = convert()
    lists = root / 'ImageSets'
    assert (lists / 'train2014.txt').read_text() == 'a\nb\n'
    assert (lists / 'train2014_cls.txt').read_text() == ('a 0 56 60\n'
                                                         'b 11 79\n')
    assert f'2 ids in {lists}, 1 images without a class left out' in out
    # the list and the JSON say the same
    given = dict(data_root=str(root), data_prefix='train2014')
    by_list = ImageLevelDataset(
        'ImageSets/train2014_cls.txt', classes=COCO_CLASSES, **given)
    by_json = CocoImageLevel('annotations/instances_train2014.json', **given)
    assert [by_list[i]['gt_label'].tolist() for i in range(2)
            ] == [by_json[i]['gt_label'].tolist() for i in range(2)]
    convert('--no-masks', '--tag-crowds', 'ignore', '--unlabeled', 'keep')
    assert (lists / 'train2014_cls.txt').read_text() == ('a 56 60\n'
                                                         'b 11 79\nc\n')


def test_checksums(root, convert):
    # the order of the JSON is not that of the checksum
    write_root(root, scenes=dict(reversed(list(SCENES.items()))))
    out = convert()
    content = manifest(root)
    files, pixels = '', ''
    for name in 'abc':
        data = (root / f'SegmentationClass/{name}.png').read_bytes()
        files += f'{name} {hashlib.sha256(data).hexdigest()}\n'
        raw = b'20 30\n' + read(root, name).tobytes()
        pixels += f'{name} {hashlib.sha256(raw).hexdigest()}\n'
    for key, text in (('sha256', files), ('pixel_sha256', pixels)):
        assert content[key] == hashlib.sha256(text.encode()).hexdigest()
        assert f'sha256 {content[key]} of the' in out
    path = root / 'annotations/instances_train2014.json'
    assert content['settings']['json_sha256'] == hashlib.sha256(
        path.read_bytes()).hexdigest()
    assert content['images'] == 3
    assert content['classes'] == ['background', *COCO_CLASSES]


def test_resume(root, convert):
    first = convert()
    assert '3 label images' in first and '0 of them were there' in first
    folder = root / 'SegmentationClass'
    before = files_of(folder)
    assert '3 of them were there' in convert()
    # one is gone, one is cut off, one is of another size
    (folder / 'a.png').unlink()
    (folder / 'b.png').write_bytes(before['b.png'][:60])
    Image.new('P', (5, 5)).save(folder / 'c.png')
    assert '0 of them were there' in convert()
    (folder / 'a.png').unlink()
    assert '2 of them were there' in convert()
    assert files_of(folder) == before
    assert not [name for name in before if name[0] == '.']


def test_an_interrupted_run_goes_on(root, convert, refused):
    whole = convert()
    folder = root / 'SegmentationClass'
    before = files_of(folder)
    for path in folder.iterdir():
        path.unlink()
    # an image stops the run after the first label image
    good = (root / 'train2014/b.jpg').read_bytes()
    (root / 'train2014/b.jpg').write_bytes(b'x')
    assert 'b.jpg: cannot be read as an image' in refused()
    assert set(
        files_of(folder)) == {'a.png', '.manifest_train2014.unfinished.json'}
    assert 'other settings' in refused('--overlap', 'annotation-order')
    (root / 'train2014/b.jpg').write_bytes(good)
    again = convert()
    assert '1 of them were there' in again
    assert whole.splitlines()[-3:-1] == again.splitlines()[-3:-1]
    assert files_of(folder) == before


def test_label_images_of_others_stay(root, convert, refused):
    convert()
    before = read(root, 'a')
    assert 'other settings' in refused('--crowd', 'class')
    path = root / 'annotations/instances_train2014.json'
    (root / 'annotations/instances_mini.json').write_bytes(path.read_bytes())
    line = refused('--images', root / 'train2014', split='mini')
    assert 'SegmentationClass/a.png: is there already' in line
    path.write_text(path.read_text() + ' ')
    assert 'of another JSON: give another --out' in refused()
    assert np.array_equal(read(root, 'a'), before)
    convert('--out', root / 'other', '--crowd', 'class')
    assert (root / 'other/a.png').is_file()


def test_two_splits_share_a_folder(root, convert):
    convert()
    one = manifest(root)['sha256']
    write_root(root, 'val2014', suffix='_val')
    convert(split='val2014')
    assert '3 of them were there' in convert()
    assert manifest(root)['sha256'] == one
    assert manifest(root, 'val2014')['images'] == 3


def test_processes_agree(root, call_tool, capsys, refused, threads,
                         monkeypatch):
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    scenes = {f'{name}{i}': SCENES[name] for i in range(12) for name in 'abc'}
    write_root(root, scenes=scenes)
    for words in ((), ('--jobs', 2, '--out', root / 'two')):
        call_tool('dataset_converters/coco', '--root', root, '--split',
                  'train2014', *words)
        assert '36/36' in capsys.readouterr().err
    assert files_of(root / 'SegmentationClass') == files_of(root / 'two')
    # one line, from a process of the pool as well
    (root / 'train2014/a7.jpg').write_bytes(b'x')
    assert 'a7.jpg: cannot be read' in refused('--jobs', 2, '--out',
                                               root / 'three')


def test_missing_images(root, convert, refused):
    (root / 'train2014/a.jpg').unlink()
    assert 'a.jpg: no such image (1 of 3' in refused('--strict')
    lines = [line for line in convert().splitlines() if 'left out' in line]
    assert len(lines) == 2
    assert ('1 of 3 images are not in '
            f'{root}/train2014, first a.jpg') in lines[0]
    assert not (root / 'SegmentationClass/a.png').exists()
    assert (root / 'ImageSets/train2014.txt').read_text() == 'b\n'
    # it is there again: the same settings, one label image more
    Image.new('RGB', SHAPE[::-1]).save(root / 'train2014/a.jpg')
    assert '2 of them were there' in convert('--strict')
    for path in (root / 'train2014').iterdir():
        path.unlink()
    assert '(3 of 3' in refused()


def test_without_images(root, convert, refused):
    convert()
    whole = manifest(root)['sha256']
    for path in (root / 'train2014').iterdir():
        path.unlink()
    (root / 'train2014').rmdir()
    assert 'no such folder' in refused('--strict')
    assert 'no such folder' in refused('--images', root / 'train2014')
    convert('--out', root / 'other')
    path = root / 'other/manifest_train2014.json'
    assert json.loads(path.read_text())['sha256'] == whole


BAD = {
    'seven numbers': ([box(0, 0, 9, 9), [0] * 7], 'a polygon of 7 numbers'),
    'a box': ([[0, 0, 5, 5]], 'a polygon of 4 numbers'),
    'NaN': ([[0, 0, float('nan'), 0, 5, 5]], 'far outside of the image, or'),
    'far': ([[0, 0, 1e12, 0, 5, 5]], 'far outside of the image'),
    'far left': ([[0, 0, -31, 0, 5, 5]], 'far outside of the image'),
    'text': ([[0, 0, '5', 0, 5, 5]], 'no list of numbers'),
    'a flat list': ([0, 0, 5, 0, 5, 5], 'no list of numbers'),
    'none': (None, 'has no segmentation'),
    'RLE of another size': (dict(size=[30, 20], counts=[600]),
                            'RLE is of size [30, 20], the image of [20, 30]'),
    'RLE too long': (dict(size=[20, 30], counts=[10, 591]), 'does not cover'),
    'RLE negative': (dict(size=[20, 30], counts=[700, -100]),
                     'does not cover'),
    'RLE without counts': (dict(size=[20, 30]), 'does not cover'),
}  # yapf: disable


@pytest.mark.parametrize('name', BAD)
def test_bad_segmentations(root, refused, name):
    segmentation, message = BAD[name]
    content = write_root(root)
    content['annotations'][4]['segmentation'] = segmentation
    path = root / 'annotations/instances_train2014.json'
    path.write_text(json.dumps(content))
    line = refused()
    assert line.startswith(f'error: {path}: annotation 101 ')
    assert message in line
    assert not (root / 'SegmentationClass').exists()
    assert not (root / 'ImageSets').exists()


def test_other_bad_input(root, refused):
    path = root / 'annotations/instances_train2014.json'

    def without(change, *args):
        content = write_root(root)
        change(content)
        path.write_text(json.dumps(content))
        return refused(*args)

    line = without(lambda content: content.pop('annotations'))
    assert f"{path}: no list 'annotations'" in line
    (root / 'train2014/a.jpg').rename(root / 'train2014/a b.jpg')
    line = without(
        lambda content: content['images'][0].update(file_name='a b.jpg'),
        '--no-masks')
    assert "'a b' has a space or comma" in line
    line = without(lambda content: content['annotations'][3]['segmentation'].
                   update(counts='0000PPPPPP'))
    assert 'annotation 100 its segmentation cannot be decoded' in line
    line = without(lambda content: content['annotations'].clear(),
                   '--no-masks')
    assert f'{path}: no image has a class' in line
    many = [dict(id=i, name=f'{i}') for i in range(255)]
    line = without(
        lambda content: content.update(categories=many, annotations=[]))
    assert '255 categories do not fit' in line
    write_root(root)
    Image.new('RGB', (31, 20)).save(root / 'train2014/b.jpg')
    assert 'b.jpg: is 31 x 20, but ' in refused()
