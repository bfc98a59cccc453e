# Copyright (c) group_wsss contributors. All rights reserved.
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from group_wsss.pseudo_labels import Judge, ThresholdLabeler
from group_wsss.pseudo_labels.features import BackboneFeatures
from group_wsss.pseudo_labels.prototypes import Prototypes, region_feature
from group_wsss.pseudo_labels.refiners import judge as module
from group_wsss.registry import MODELS
from group_wsss.structures import DumpWriter, ScoreMap, encode_index_png
from group_wsss.structures.label_image import read_index_png
from group_wsss.utils.errors import InputError

SIZE = (8, 24)
IMAGE = np.zeros((*SIZE, 3), np.uint8)


def some_prototypes(seed=0, count=40, width=6):
    rng = np.random.default_rng(seed)
    return Prototypes(
        np.array([f'{i % 11}' for i in range(count)]),
        rng.integers(0, 3, count),
        rng.random((count, width)).astype(np.float32))


def test_prototypes_against_loops(tmp_path):
    given = some_prototypes()
    given.save(str(tmp_path / 'p.npz'))
    loaded = Prototypes.load(str(tmp_path / 'p.npz'))
    for one, two in zip(given, loaded):
        np.testing.assert_array_equal(one, two)
    feature = np.random.default_rng(1).random(6).astype(np.float32)
    mean = given.features.mean(0)
    got = loaded.similarities(feature, np.array([0, 2, 7]), '3', 2)
    for value, class_id in zip(got, (0, 2)):
        cosines = []
        for img_id, c, row in zip(*given):
            if c == class_id and img_id != '3':
                a, b = row - mean, feature - mean
                cosines.append(a @ b / np.sqrt((a @ a) * (b @ b)))
        assert value == pytest.approx(np.mean(sorted(cosines)[-2:]), abs=1e-5)
    assert got[2] == -np.inf  # nobody has seen it


def test_features_of_regions_against_loops():
    rng = np.random.default_rng(0)
    features = rng.random((5, 4, 6)).astype(np.float32)
    mask = rng.random((8, 24)) < .3
    total, weight = np.zeros(5), 0.
    for y, x in np.ndindex(4, 6):
        share = mask[2 * y:2 * y + 2, 4 * x:4 * x + 4].mean()
        total += share * features[:, y, x]
        weight += share
    np.testing.assert_allclose(
        region_feature(features, mask), total / weight, rtol=1e-5)
    maps = rng.random((2, 8, 24), dtype=np.float32)
    got = Prototypes.of(ScoreMap('x', (8, 24), [1, 4], maps), features, .6)
    assert got.img_ids.tolist() == ['x', 'x']
    assert got.class_ids.tolist() == [1, 4]
    for place in range(2):
        sure = (maps[place] > maps[1 - place]) & (
            maps[place] >= .6 * maps[place].max())
        np.testing.assert_allclose(
            got.features[place], region_feature(features, sure), rtol=1e-5)
    # a map without evidence is no example
    maps[1] = 0
    got = Prototypes.of(ScoreMap('x', (8, 24), [1, 4], maps), features, .6)
    assert got.class_ids.tolist() == [1]
    none = ScoreMap('x', (8, 24), [], maps[:0])
    assert Prototypes.of(none, features, .6).features.shape == (0, 5)


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """A judge whose features are six columns; 0, 1, 2 are its classes."""
    columns = [1, 1, 2, 0, 1, 2]

    class Columns:

        def __init__(self, *args, keys):
            assert keys

        def __call__(self, image):
            return np.eye(
                3, dtype=np.float32)[columns].T.reshape(3, 1, 6).repeat(2, 1)

    monkeypatch.setattr(module, 'BackboneFeatures', Columns)
    ids = np.array(['other'] * 3)
    Prototypes(ids, np.arange(3),
               np.eye(3, dtype=np.float32)).save(str(tmp_path / 'p.npz'))

    def make(**options):
        options = {'map_margin': .3, 'margin': .1, **options}
        return Judge(
            str(tmp_path), str(tmp_path / 'p.npz'), 'c', 'w', **options)

    return make


def scene(tmp_path):
    """Six regions of four columns, below a line that has no mask."""
    #         relabel  map keeps  unknown  features keep  margin  as it is
    named = [0, 0, 0, 0, 0, 1]
    by_map = [1, 0, 1, 1, 1, 1]
    label = np.zeros(SIZE, np.uint8)
    maps = np.full((3, *SIZE), .1, np.float32)
    for i, (name, told) in enumerate(zip(named, by_map)):
        part = (slice(2, None), slice(4 * i, 4 * i + 3))
        label[part] = name + 1
        maps[(told, *part)] = .3 if i == 4 else .9
    maps[2, 0, :5] = .8  # the third class has no mask
    maps[0, 0, 9:] = .8  # the first has
    (tmp_path / 'x.png').write_bytes(encode_index_png(label))
    return ScoreMap('x', SIZE, [0, 1, 2], maps)


def test_verdicts(judge, tmp_path):
    score_map = scene(tmp_path)
    refiner = judge()
    refiner.features.supervision = 'D'
    assert refiner.supervision == 'DA'
    label = read_index_png(str(tmp_path / 'x.png'))
    found = refiner.verdicts(score_map, label, refiner.features(IMAGE))
    first = [v for v in found if v.named == 0]
    first.sort(key=lambda v: v.mask.nonzero()[1].min())
    assert [v.by_map for v in first] == [1, 0, 1, 1, 0]
    assert [v.by_others for v in first] == [1, 1, 2, 0, 1]
    assert [v.class_id for v in first] == [1, 0, None, 0, 0]
    assert [(v.named, v.class_id) for v in found if v.named] == [(1, 1)]
    got = refiner(score_map, IMAGE)
    labels = ThresholdLabeler(.5, margin=.1)(got)
    wanted = np.where(label > 0, label, 0)
    wanted[2:, 0:3] = 2
    wanted[2:, 8:11] = 255
    wanted[0, :5] = 3  # added; the first class has masks, and keeps to them
    np.testing.assert_array_equal(labels, wanted)
    # without a margin the weak lead counts, a tie does not
    assert module._ahead([.5, .5], 1, 0.) == 1
    eager = judge(map_margin=0.)
    found = eager.verdicts(score_map, label, eager.features(IMAGE))
    assert sum(v.class_id != v.named for v in found) == 3
    # regions of 18 of 192 pixels, a tenth
    found = judge(min_region=.1).verdicts(score_map, label,
                                          refiner.features(IMAGE))
    assert len(found) == 6 and all(v.class_id == v.named for v in found)


def test_one_witness_changes_nothing(judge, tmp_path):
    score_map = scene(tmp_path)
    label = read_index_png(str(tmp_path / 'x.png'))
    refiner = judge()
    # the only example of a class is in the image itself
    ids = np.array(['other', 'other', 'x'])
    refiner.prototypes = refiner.prototypes._replace(img_ids=ids)
    found = refiner.verdicts(score_map, label, refiner.features(IMAGE))
    assert all(v.class_id == v.named == v.by_others for v in found)
    alone = ScoreMap('x', SIZE, [0], score_map.maps[:1])
    found = judge().verdicts(alone, label, refiner.features(IMAGE))
    assert len(found) == 5 and all(v.class_id == 0 for v in found)


def test_unknown_stays_unknown(judge, tmp_path):
    score_map = scene(tmp_path)
    label = np.full(SIZE, 255, np.uint8)
    label[0] = 0
    (tmp_path / 'x.png').write_bytes(encode_index_png(label))
    labels = ThresholdLabeler(.5, margin=.1)(judge()(score_map, IMAGE))
    assert (labels[1:] == 255).all() and (labels[0] != 255).all()


def test_bad_input_is_named(judge, tmp_path):
    score_map = scene(tmp_path)
    with pytest.raises(InputError, match='ScoreMap'):
        judge().refine(score_map.maps)
    refiner = judge()
    refiner.prototypes = some_prototypes()
    with pytest.raises(InputError, match='6 numbers, its backbone gives 3'):
        refiner(score_map, IMAGE)
    (tmp_path / 'x.png').write_bytes(encode_index_png(IMAGE[:4, :, 0]))
    with pytest.raises(InputError, match=r'x.png.*\(4, 24\).*\(8, 24\)'):
        refiner(score_map, IMAGE)
    (tmp_path / 'x.png').unlink()
    with pytest.raises(InputError, match='x.png: no such file'):
        refiner(score_map, IMAGE)
    np.savez(tmp_path / 'q.npz', img_ids=['a'], class_ids=[1], features=[1.])
    for name in ('q', 'none'):
        with pytest.raises(InputError, match=f'{name}.npz'):
            Prototypes.load(str(tmp_path / f'{name}.npz'))


@torch.no_grad()
def test_the_whole_road(stage1, tmp_path, call_tool, capsys):
    """Features are those of the backbone; the tools hand them on."""
    config, weights, net = stage1
    rng = np.random.default_rng(0)
    photos, ours, foreign, out, prototypes = (
        tmp_path / name for name in ('photos', 'ours', 'foreign', 'out', 'p'))
    photos.mkdir()
    writers = [DumpWriter(str(path), ['a', 'b']) for path in (ours, foreign)]
    for name in 'xyz':
        image = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
        Image.fromarray(image).save(photos / f'{name}.png')
        score_map = ScoreMap(name, (64, 64), [0, 1], rng.random((2, 4, 4)))
        score_map.save(f'{writers[0].staging}/scores/{name}.npz')
        for writer in writers:
            writer.write(name, ThresholdLabeler()(score_map))
    writers[0].finish(image_paths={name: f'{name}.png' for name in 'xyz'})
    writers[1].finish(supervision=('I', 'A'))
    got = BackboneFeatures(config, weights, 'cpu')(image)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    want = net.backbone((pixels - 127) / 64)[-1][0]
    np.testing.assert_allclose(got, want.numpy(), rtol=1e-4, atol=1e-5)
    assert BackboneFeatures(config, weights, 'cpu', True).graph is None
    call_tool('make_prototypes', config, weights, ours, '--images', photos,
              '--out', prototypes)
    assert '6 prototypes of 2 classes' in capsys.readouterr().out
    step = dict(
        type='group_wsss.Judge',
        foreign_dir=str(foreign),
        prototypes=str(prototypes),
        config=config,
        checkpoint=weights,
        device='cpu')
    labeler = dict(
        type='group_wsss.ThresholdLabeler', bg_threshold=.5, margin=.1)
    Config(dict(refiners=[step], labeler=labeler)).dump(tmp_path / 'judge.py')
    call_tool('refine_labels', tmp_path / 'judge.py', ours, out, '--images',
              photos)
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['supervision'] == ['I', 'A']
    # names that come from the maps themselves stay
    for name in 'xyz':
        labels = [
            read_index_png(str(path / f'{name}.png'))
            for path in (out, foreign)
        ]
        np.testing.assert_array_equal(*labels)
    with pytest.raises(SystemExit):
        call_tool('make_prototypes', config, weights, foreign, '--images',
                  photos, '--out', tmp_path / 'q')
    assert 'holds no scores' in capsys.readouterr().err


@torch.no_grad()
@pytest.mark.parametrize('key', ['whitened', 'contrast'])
def test_keys_are_those_of_the_graph(key, stage1, tmp_path):
    cfg = Config.fromfile(stage1[0])
    cfg.model.neck.coattention = dict(key=key, key_channels=4, normalize=True)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        net = MODELS.build(cfg.model)
    net.neck.coattention.whiten.update(torch.randn(2, 64, 4, 4))
    net.eval().neck.coattention.whiten.settle()
    path = str(tmp_path / 'net.pth')
    torch.save(dict(state_dict=net.state_dict()), path)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    got = BackboneFeatures(cfg, path, 'cpu', keys=True)(image)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    maps = net.backbone((pixels - 127) / 64)[-1]
    want = net.neck.coattention.whiten(maps)[0]
    want = want / want.norm(dim=0)
    np.testing.assert_allclose(got, want.numpy(), rtol=1e-3, atol=1e-4)
