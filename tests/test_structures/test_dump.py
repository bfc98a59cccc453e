# Copyright (c) group_wsss contributors. All rights reserved.
import json

import numpy as np
import pytest

from group_wsss.evaluation import dump_classes, open_dump
from group_wsss.structures import (Dump, DumpWriter, Manifest, ScoreMap,
                                   encode_index_png)
from group_wsss.structures.palette import bright_palette
from group_wsss.utils.errors import InputError

OTSU = dict(type='group_wsss.ThresholdLabeler', bg_threshold='otsu')


@pytest.fixture
def dump(tmp_path):
    """Two images of the classes cat and dog, with scores."""
    folder = tmp_path / 'dump'
    writer = DumpWriter(str(folder), ['cat', 'dog'])
    for img_id in ('b 1', 'sub/a'):
        writer.write(img_id, np.zeros((3, 4), np.uint8))
        score_map = ScoreMap(img_id, (3, 4), [1], np.ones((1, 1, 1)))
        score_map.save(f'{writer.staging}/scores/{img_id}.npz')
    writer.finish(labeler=dict(OTSU, bg_threshold=0.4))
    return folder


def _manifest(dump, **changes):
    path = dump / 'manifest.json'
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


def test_all_of_a_dump(dump):
    found = open_dump(str(dump))
    assert found.ids == ['b 1', 'sub/a']
    assert found.names == ('background', 'cat', 'dog')
    assert found.scores == str(dump / 'scores') and found.notes == ()
    assert found.bg_threshold == .4
    assert found.tags is None and found.tags_from(None) == 'scores'
    _manifest(dump, labeler=OTSU, chosen_thresholds=[.1, .45])
    found = open_dump(str(dump), use_scores=False)
    assert found.bg_threshold == .45
    assert found.scores is None and 'no scores' in found.notes[0]
    assert found.tags_from(None) is None
    assert found.tags_from('masks') == 'masks'


@pytest.mark.parametrize('labeler', [
    None,
    dict(type='SaliencyLabeler', bg_threshold=.4),
    dict(type='ThresholdLabeler', bg_threshold=[1]),
    dict(type='ThresholdLabeler', bg_threshold=7), OTSU
])
def test_foreign_labelers_have_no_threshold(dump, labeler):
    _manifest(dump, labeler=labeler)
    assert open_dump(str(dump)).bg_threshold is None


def test_list_gives_images_and_tags(dump, tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('sub/a 1 0\n')
    found = open_dump(str(dump), image_list=str(path))
    assert found.ids == ['sub/a'] and found.tags == {'sub/a': (1, 2)}
    assert found.tags_from('masks') == 'list'
    path.write_text('sub/a\n')
    assert open_dump(str(dump), image_list=str(path)).tags is None
    path.write_text('c\nsub/a 2\n')
    with pytest.raises(InputError, match='list.txt:2: class id 2'):
        open_dump(str(dump), image_list=str(path))


def test_plain_folder_without_manifest(tmp_path):
    (tmp_path / 'x.png').write_bytes(
        encode_index_png(np.zeros((2, 2), np.uint8)))
    found = open_dump(str(tmp_path))
    assert found.ids == ['x'] and len(found.names) == 21
    assert 'no manifest.json' in found.notes[0]
    found = open_dump(str(tmp_path), classes='3')
    assert found.names[1:] == ('class 1', 'class 2', 'class 3')
    assert 'manifest' not in ''.join(found.notes)


def test_bad_dumps_are_named(dump, tmp_path):
    with pytest.raises(InputError, match='nowhere: no such folder'):
        open_dump(str(tmp_path / 'nowhere'))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='empty: no label PNG'):
        open_dump(str(tmp_path / 'empty'))
    with pytest.raises(InputError, match='other: no such folder'):
        open_dump(str(dump), scores=str(tmp_path / 'other'))
    (dump / 'scores' / 'b 1.npz').unlink()
    with pytest.raises(
            InputError, match='1 of 2 images have no scores.*: b 1'):
        open_dump(str(dump))
    assert open_dump(str(dump), use_scores=False).ids == ['b 1', 'sub/a']
    (dump / 'sub' / 'a.png').unlink()
    with pytest.raises(InputError, match='1 of 2 images have no label: sub/a'):
        open_dump(str(dump))


AB = ['background', 'a']


@pytest.mark.parametrize('content, match', [
    ('{', 'not JSON'),
    ([1], "'classes' must be"),
    ({}, "'classes' must be"),
    (dict(classes='cat'), "'classes' must be"),
    (dict(classes=AB[:1]), "'classes' must be"),
    (dict(classes=['background', 3]), "'classes' must be"),
    (dict(classes=[*AB, 'a']), "'classes' must be"),
    (dict(classes=['a', 'b']), "'classes' must be"),
    (dict(classes=AB + [f'{i}' for i in range(254)]), "'classes' must be"),
    (dict(classes=['background', 'a\033[31m']), 'control character'),
    (dict(classes=['background', '\ud800']), 'control character'),
    (dict(classes=AB, supervision=['X']), "'supervision' must be"),
    (dict(classes=AB, palette=[[0, 0, 0]]), "'palette'"),
    (dict(classes=AB, palette=[[0, 0], [0, 0, 0]]), "'palette'"),
    (dict(classes=AB, palette=[[0, 0, 256], [0, 0, 0]]), "'palette'"),
    (dict(classes=AB, labeler='ThresholdLabeler'), "'labeler' is a str"),
    (dict(classes=AB, refiners={}), "'refiners' is a"),
    (dict(classes=AB, seed='3'), "'seed' is a str"),
    (dict(classes=AB, image_paths=dict(x=1)), "'image_paths' must be"),
])
def test_bad_manifests_are_one_line(dump, content, match):
    text = content if isinstance(content, str) else json.dumps(content)
    (dump / 'manifest.json').write_text(text)
    with pytest.raises(InputError, match=match) as caught:
        open_dump(str(dump))
    assert '\n' not in str(caught.value) and str(dump) in str(caught.value)


def test_classes_of_a_folder(dump, tmp_path):
    assert dump_classes(str(dump)) == ('cat', 'dog')
    assert dump_classes(str(dump), '2') == ('cat', 'dog')
    with pytest.raises(InputError, match='names 2 classes'):
        dump_classes(str(dump), '3')
    with pytest.raises(InputError, match="'aeroplane', there 'cat'"):
        dump_classes(str(dump), 'voc')
    assert len(dump_classes(str(tmp_path))) == 20  # VOC
    (dump / 'manifest.json').write_text('{}')
    with pytest.raises(InputError, match="manifest.json: 'classes' must be"):
        dump_classes(str(dump))


def test_a_bare_manifest_has_the_defaults(tmp_path):
    (tmp_path / 'manifest.json'
     ).write_text('{"classes": ["background", "a"], "of a later version": 1}')
    manifest = Manifest.read(str(tmp_path))
    assert manifest.palette == bright_palette()[:2].tolist()
    assert manifest.supervision == ['I'] and manifest.unknown_label == 255
    assert manifest.checkpoint == dict(name=None, sha256=None)
    assert Manifest.read(str(tmp_path / 'manifest.json')) == manifest
    with pytest.raises(InputError, match='none/manifest.json: no such file'):
        Manifest.read(str(tmp_path / 'none'))
    assert Manifest.find(str(tmp_path / 'none')) is None


def test_ids_and_manifest_alone_are_trusted(dump):
    (dump / 'plot.png').write_bytes(
        encode_index_png(np.zeros((2, 2), np.uint8)))
    assert Dump.open(str(dump)).ids == ['b 1', 'sub/a']
    (dump / 'ids.txt').unlink()
    with pytest.raises(InputError, match='ids.txt: '):
        Dump.open(str(dump))
    (dump / 'manifest.json').unlink()
    with pytest.raises(InputError, match='has no manifest.json'):
        Dump.open(str(dump))
    assert Dump.open(
        str(dump), ['x'], use_scores=False).ids == ['b 1', 'plot', 'sub/a']


def test_labels_and_scores_are_read_and_checked(dump):
    found = Dump.open(str(dump))
    assert not found.read_label('b 1').any()
    assert found.read_scores('sub/a').class_ids.tolist() == [1]
    assert (found.palette == bright_palette()).all()
    assert found.bare.ids == [] and found.bare.names == found.names
    one = found._replace(names=('background', 'cat'))
    with pytest.raises(InputError, match='a.npz: class id 1 with 1 classes'):
        one.read_scores('sub/a')
    label = np.array([[1, 255]], np.uint8)
    (dump / 'b 1.png').write_bytes(encode_index_png(label))
    assert (one.read_label('b 1') == label).all()
    (dump / 'b 1.png').write_bytes(encode_index_png(label + 1))
    with pytest.raises(InputError, match='b 1.png: value 2 is neither one of'):
        one.read_label('b 1')
