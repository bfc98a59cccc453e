# Copyright (c) group_wsss contributors. All rights reserved.
"""tools/import_masks.py: foreign masks become scores of the tags."""
import json

import numpy as np
import pytest
from PIL import Image

from group_wsss.structures import Dump, DumpWriter, ScoreMap
from group_wsss.structures.label_image import encode_index_png, read_index_png
from group_wsss.structures.manifest import Manifest
from group_wsss.structures.segmentation import encode_mask

SIZE = (10, 14)
CLASSES = ['cat', 'dog', 'cow']
# tags of each image
TAGS = {'a': [0, 2], 'sub/b': [1], 'c': []}


def some_masks(seed):
    """(name, score, mask): all classes, a stranger, overlaps."""
    rng = np.random.default_rng(seed)
    found = []
    for name in ['cat', 'cow', 'sofa', 'dog', 'cat', 'hound', 'cow']:
        top, left = rng.integers(0, 6), rng.integers(0, 8)
        mask = np.zeros(SIZE, bool)
        mask[top:top + 5, left:left + 6] = True
        # what half precision holds, so that files give it back
        found.append((name, float(rng.integers(1, 65) / 64), mask))
    return found


@pytest.fixture
def images():
    return {name: some_masks(seed) for seed, name in enumerate(TAGS)}


@pytest.fixture
def tags(tmp_path):
    path = tmp_path / 'labels.json'
    entries = [dict(id=key, labels=ids) for key, ids in TAGS.items()]
    path.write_text(json.dumps(dict(classes=CLASSES, images=entries)))
    return path


def write_coco(path, images, **changes):
    names = ['sofa', 'hound', 'cow', 'cat', 'dog']  # another order
    content = dict(
        categories=[dict(id=7 * i, name=n) for i, n in enumerate(names, 1)],
        images=[
            dict(id=i, file_name=f'{n}.jpg', height=SIZE[0], width=SIZE[1])
            for i, n in enumerate(images)
        ],
        annotations=[])
    for i, masks in enumerate(images.values()):
        for name, score, mask in masks:
            content['annotations'].append(
                dict(
                    id=len(content['annotations']),
                    image_id=i,
                    category_id=7 * (names.index(name) + 1),
                    score=score,
                    segmentation=encode_mask(mask)))
    content.update(changes)
    path.write_text(json.dumps(content))


def write_results(folder, images):
    for name, masks in images.items():
        path = folder / f'{name}.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        entries = [
            dict(name=n, score=s, segmentation=encode_mask(m))
            for n, s, m in masks
        ]
        path.write_text(json.dumps(dict(size=list(SIZE), masks=entries)))


@pytest.mark.parametrize('kind', ['coco', 'results'])
def test_scores_against_loops(kind, images, tags, tmp_path, call_tool, capsys):
    source, out = tmp_path / 'source', tmp_path / 'out'
    if kind == 'coco':
        write_coco(source, images)
    else:
        write_results(source, images)
    call_tool('import_masks', source, '--format', kind, '--image-list', tags,
              '--out', out, '--rename', 'hound=dog')
    text = capsys.readouterr().out
    # 4 of the cats and cows, 2 of the dogs; one sofa an image is no class
    assert '3 label images' in text and '6 masks of tags, 12' in text
    assert "3 masks left out whose name is no class: 'sofa' (3)" in text
    dump = Dump.open(str(out))
    assert dump.names == ('background', *CLASSES)
    letters = dict(coco='IA', results='ILA')[kind]
    assert ''.join(dump.manifest.supervision) == letters
    for img_id, ids in TAGS.items():
        score_map = dump.read_scores(img_id)
        label = dump.read_label(img_id)
        assert score_map.class_ids.tolist() == ids
        for y, x in np.ndindex(SIZE):
            here = {c: 0. for c in ids}
            for name, score, mask in images[img_id]:
                c = CLASSES.index(name.replace(
                    'hound', 'dog')) if (name != 'sofa') else None
                if c in here and mask[y, x]:
                    here[c] = max(here[c], score)
            got = dict(zip(ids, score_map.maps[:, y, x].tolist()))
            assert got == here
            best = max(here, key=here.get, default=None)
            want = best + 1 if ids and here[best] > 0 else 0
            assert label[y, x] == want


def test_index_pngs(tags, tmp_path, call_tool, capsys):
    rng = np.random.default_rng(0)
    (tmp_path / 'png' / 'sub').mkdir(parents=True)
    given = {}
    for name in TAGS:
        given[name] = rng.choice([0, 1, 2, 3, 255], SIZE).astype(np.uint8)
        (tmp_path / 'png' / f'{name}.png').write_bytes(
            encode_index_png(given[name]))
    out = tmp_path / 'out'
    words = (tmp_path / 'png', '--format', 'png', '--image-list', tags,
             '--out', out, '--supervision', 'M')
    call_tool('import_masks', *words)
    assert Manifest.read(str(out)).supervision == ['I', 'M']
    for name, ids in TAGS.items():
        label = read_index_png(str(out / f'{name}.png'))
        keep = np.isin(given[name], [0, 255, *(c + 1 for c in ids)])
        np.testing.assert_array_equal(label, np.where(keep, given[name], 0))
    # a manifest beside them numbers the same classes
    writer = DumpWriter(str(tmp_path / 'dump'), CLASSES[::-1])
    for name in TAGS:
        writer.write(name, given[name])
    writer.finish()
    with pytest.raises(SystemExit):
        call_tool('import_masks', tmp_path / 'dump', *words[1:])
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "class 0 is 'cow', there 'cat'" in line and 'labels.json' in line


def test_crowds_are_unknown(images, tags, tmp_path, call_tool):
    mask, dog = np.zeros((2, *SIZE), bool)
    mask[2:5], dog[4:8] = True, True
    annotations = [
        dict(
            id=i,
            image_id=1,
            category_id=category,
            iscrowd=crowd,
            segmentation=encode_mask(one))
        for i, (category, crowd, one) in enumerate([(14, 1, mask), (35, 0,
                                                                    dog)])
    ]
    write_coco(tmp_path / 'x.json', images, annotations=annotations)
    call_tool('import_masks', tmp_path / 'x.json', '--format', 'coco',
              '--image-list', tags, '--out', tmp_path / 'out')
    label = read_index_png(str(tmp_path / 'out' / 'sub' / 'b.png'))
    np.testing.assert_array_equal(label,
                                  np.where(dog, 2, np.where(mask, 255, 0)))
    scores = ScoreMap.load(str(tmp_path / 'out/scores/sub/b.npz'))
    np.testing.assert_array_equal(scores.maps[0], dog)


ONE = dict(name='cat', score=.5, segmentation=[[0, 0, 4, 0, 4, 4]])
# of an instances JSON
BAD = dict(id=1, image_id=0, category_id=28)
RLE = dict(size=[3, 3], counts=[0, 9])


def results(**changes):
    return dict(size=SIZE, masks=[dict(ONE, **changes)])


# format, what is wrong with its content, further arguments, words
@pytest.mark.parametrize('kind, content, more, words', [
    ('coco', 'sub/b', [], ['x.json', "'sub/b'", 'without suffix']),
    ('coco', dict(annotations=[dict(BAD, score='1')]), [],
     ['x.json', 'annotations[0]', "'score'", '[0, 1]']),
    ('coco', dict(annotations=[dict(BAD, segmentation=RLE)]), [],
     ['x.json', 'annotations[0]', '[3, 3]', '[10, 14]']),
    ('coco', dict(categories=[dict(id=1, name='hund')], annotations=[]), [],
     ['x.json', "'hund'", 'no class', 'cat, dog, cow']),
    ('coco', {}, ['--rename', 'sofa=tiger'
                  ], ['--rename', "'tiger'", 'no class', 'cat, dog, cow']),
    ('coco', {}, ['--supervision', 'X'], ['--supervision X', 'ISLADM']),
    ('coco', {}, ['--image-list', 'bare.txt'
                  ], ['bare.txt', 'no class names', '--classes']),
    ('png', None, [], ['x.json', 'no such folder']),
    ('png', 0, [], ['a.png', 'no such file']),
    ('png', 9, [], ['a.png', 'value 9', '3 classes']),
    ('results', None, [], ['x.json', 'no such folder']),
    ('results', 0, [], ['a.json', 'no such file']),
    ('results', dict(masks=[]), [], ['a.json', "'size'", "'masks'"]),
    ('results', results(name=1), [], ['a.json', 'masks[0]', "'name'"]),
    ('results', results(score=1.5), [],
     ['a.json', 'masks[0]', "'score'", '1.5']),
    ('results', results(name='hund'), [], ['x.json', "'hund'", 'no class']),
    ('results', results(segmentation=[]), [],
     ['a.json', 'masks[0]', 'no segmentation']),
])
def test_bad_input_is_one_line(kind, content, more, words, images, tags,
                               tmp_path, call_tool, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'bare.txt').write_text('a 0 2\n')
    source = tmp_path / 'x.json'
    if kind == 'coco':
        images.pop(content if isinstance(content, str) else '', None)
        write_coco(source, images,
                   **(content if isinstance(content, dict) else {}))
    elif content is not None:
        (source / 'sub').mkdir(parents=True)
        if content == 9:
            Image.fromarray(np.full(SIZE, 9, np.uint8)).save(source / 'a.png')
        for name in TAGS if isinstance(content, dict) else ():
            (source / f'{name}.json').write_text(json.dumps(content))
    with pytest.raises(SystemExit) as leaving:
        call_tool('import_masks', source, '--format', kind, '--image-list',
                  tags, '--out', 'out', *more)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert leaving.value.code == 2 and line.startswith('error: ')
    assert all(word in line for word in words), line
    assert not (tmp_path / 'out/manifest.json').exists()
