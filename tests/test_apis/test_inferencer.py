# Copyright (c) group_wsss contributors. All rights reserved.
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

from group_wsss.apis import GroupCAMInferencer
from group_wsss.apis.images import list_images
from group_wsss.datasets import VOC_CLASSES, LabelIndex, load_image
from group_wsss.datasets.grouped import id_key
from group_wsss.pseudo_labels import PixelAdaptive, ThresholdLabeler
from group_wsss.pseudo_labels.thresholds import otsu, score_histogram
from group_wsss.structures import ScoreMap, read_index_png
from group_wsss.utils.errors import InputError
from group_wsss.visualization import paint_label
from .conftest import CONFIG, NUM_IMAGES, tags_of

IDS = [f'n{i}' for i in range(NUM_IMAGES)]
TAGS = [tags_of(i) for i in range(NUM_IMAGES)]


@pytest.fixture
def build(weights):
    """An inferencer with these options."""

    def make(config=CONFIG, **options):
        return GroupCAMInferencer(
            str(config), str(weights), show_progress=False, **options)

    return make


@pytest.fixture
def images(photo_root):
    return photo_root / 'JPEGImages'


@pytest.fixture
def net(weights):
    """The network, and a function from an image to its input."""
    cfg = Config.fromfile(CONFIG)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(weights)['state_dict'])
    return model


def pixels(path):
    """An image as the network sees it, by hand."""
    import cv2
    image = cv2.resize(load_image(str(path)), (64, 64))  # RGB
    image = (image.astype(np.float32) - 127) / 64
    return torch.from_numpy(image).permute(2, 0, 1)


def run(*parts):
    """Logits of the anchor after the graph, of one group."""
    model, paths = parts[0], parts[1:]
    images = torch.stack([pixels(path) for path in paths])
    with torch.no_grad():
        feats = model.backbone(images)[-1]
        nodes = model.neck.propagate(feats, len(paths))
        return model.head.classifier(nodes)[0].numpy()


def unit(maps):
    maps = np.maximum(maps, 0)
    peak = maps.max(axis=(1, 2), keepdims=True)
    return maps / np.where(peak > 0, peak, 1)


def equal(first, second):
    return all((a['label'] == b['label']).all() and (
        a['score_map'].maps == b['score_map'].maps).all()
               for a, b in zip(first, second))


def test_three_lines(net, images, weights):
    inferencer = GroupCAMInferencer(str(CONFIG), str(weights))
    result = inferencer(str(images / 'n1.jpg'), tags=['boat', 1])[0]
    assert result['img_id'] == 'n1' and result['tags'] == ['bicycle', 'boat']
    logits = run(net, images / 'n1.jpg')
    score_map = result['score_map']
    np.testing.assert_array_equal(score_map.class_ids, [1, 3])
    np.testing.assert_allclose(score_map.maps, unit(logits[[1, 3]]), atol=1e-5)
    scores = 1 / (1 + np.exp(-logits.mean(axis=(1, 2))))
    assert list(result['scores']) == list(VOC_CLASSES)
    np.testing.assert_allclose(
        list(result['scores'].values()), scores, atol=1e-5)
    # the threshold of the config's PseudoLabelHook, at image size
    full = score_map.resize().maps
    want = np.where(full.max(0) > 0.35, np.array([2, 4])[full.argmax(0)], 0)
    np.testing.assert_array_equal(result['label'], want)
    assert result['label'].dtype == np.uint8
    image = np.asarray(Image.open(images / 'n1.jpg'))
    assert result['label'].shape == image.shape[:2]
    np.testing.assert_array_equal(result['visualization'],
                                  paint_label(result['label'], image))
    sample, = inferencer(images / 'n1.jpg', True, tags=['boat', 1])
    np.testing.assert_array_equal(sample.pred_sem_seg.data[0], result['label'])
    assert sample.class_ids.tolist() == [1, 3] and sample.img_id == 'n1'
    assert sample.pred_score.tolist() == list(result['scores'].values())


@pytest.mark.slow
@pytest.mark.parametrize('tta', [False, True])
def test_same_labels_as_the_test_tool(tta, build, weights, images, call_tool,
                                      tmp_path):
    config = CONFIG.with_name('tiny_group_cam_tta.py') if tta else CONFIG
    call_tool('test', config, weights, '--work-dir', tmp_path)
    data = Config.fromfile(config).test_dataloader.dataset
    out = tmp_path / 'api'
    grouped = build(
        config, tta=tta, reference=data)(
            str(images), tags=TAGS, out_dir=str(out))
    for name in IDS:
        want = (tmp_path / f'pseudo_labels/{name}.png').read_bytes()
        assert (out / f'{name}.png').read_bytes() == want
    alone = build(config, tta=tta)(str(images), tags=TAGS)
    assert not equal(alone, grouped)


def test_predicted_tags(net, build, images):
    means = [run(net, images / f'{i}.jpg').mean(axis=(1, 2)) for i in IDS]
    scores = 1 / (1 + np.exp(-np.stack(means)))
    # between two scores, so that images have none, one or more
    best = np.sort(scores.max(axis=1))
    threshold = float(best[1:3].mean())
    results = build(tag_threshold=threshold)(str(images))
    for row, result in zip(scores, results):
        found = np.flatnonzero(row >= threshold)
        found = found if len(found) else [row.argmax()]
        assert result['tags'] == [VOC_CLASSES[c] for c in found]
        np.testing.assert_allclose(
            list(result['scores'].values()), row, atol=1e-5)
    counts = (scores >= threshold).sum(axis=1)
    assert counts.min() == 0 and counts.max() > 0
    everything = build(tag_threshold=0.0)(images / 'n0.jpg')[0]
    assert everything['tags'] == list(VOC_CLASSES)


def test_all_kinds_of_input(build, images):
    inferencer = build()
    paths = [images / f'{name}.jpg' for name in IDS]
    arrays = [load_image(str(path))[:, :, ::-1] for path in paths]
    base = inferencer(str(images), tags=['cat'])
    assert [r['img_id'] for r in base] == IDS
    for inputs in (images, [str(p) for p in paths], paths, arrays,
                   f'{images}/n?.jpg', [arrays[0], images / 'n1.jpg']):
        assert equal(inferencer(inputs, tags=['cat']), base)
    # the batch size may change the last bits
    for result, want in zip(
            inferencer(str(images), batch_size=4, tags=['cat']), base):
        np.testing.assert_allclose(
            result['score_map'].maps, want['score_map'].maps, atol=1e-5)


def test_partners_come_from_the_reference(net, build, images, photo_root):
    inferencer = build(
        reference=str(photo_root / 'list.txt'),
        reference_root=str(images),
        group_size=2,
        match='any',
        seed=4)
    results = inferencer(str(images), tags=TAGS)
    drawn = LabelIndex(TAGS, 20).query(
        TAGS,
        np.array([id_key(name) for name in IDS], np.uint64),
        np.arange(NUM_IMAGES),
        1,
        match='any',
        seed=4)
    for i, result in enumerate(results):
        group = [images / f'{IDS[j]}.jpg' for j in [i, *drawn[i]]]
        maps = run(net, *group)[sorted(TAGS[i])]
        np.testing.assert_allclose(
            result['score_map'].maps, unit(maps), atol=1e-5)
    # company and order do not enter
    some = inferencer([images / 'n5.jpg', images / 'n2.jpg'],
                      tags=[TAGS[5], TAGS[2]])
    assert equal(some, [results[5], results[2]])


def test_a_folder_as_reference(build, images, tmp_path):
    inferencer = build(reference=str(images), tag_threshold=0.6)
    known = inferencer._predict_tags(list_images(images), 1)[0]
    records = [
        dict(id=name, path=f'{name}.jpg', labels=ids)
        for name, ids in zip(IDS, known)
    ]
    path = tmp_path / 'list.json'
    path.write_text(json.dumps(dict(classes=VOC_CLASSES, images=records)))
    listed = build(
        reference=str(path), reference_root=str(images), tag_threshold=0.6)
    first = inferencer(str(images))
    assert equal(first, listed(str(images)))
    assert equal(first, inferencer(str(images)))
    # those that the tags were predicted by, not those of the group
    alone = build()(str(images))
    assert [r['scores'] for r in first] == [r['scores'] for r in alone]
    other = build(reference=str(images), tag_threshold=0.6, seed=1)
    assert not equal(first, other(str(images)))


def test_steps(build, images, weights):
    plain = build()(str(images), tags=TAGS)
    chosen = otsu(sum(score_histogram(r['score_map']) for r in plain))
    inferencer = build(bg_threshold='otsu')
    inferencer(images / 'n3.jpg', tags=['cat'])  # is forgotten
    results = inferencer(str(images), tags=TAGS)
    assert inferencer.labelling.thresholds == [chosen]
    for result, base in zip(results, plain):
        score, label = base['score_map'].resize().best()
        label[score <= np.float32(chosen)] = 0
        np.testing.assert_array_equal(result['label'], label)
    refined = build(
        refiners=[dict(type='group_wsss.PixelAdaptive', bg_threshold=0.4)],
        labeler=dict(type='group_wsss.ThresholdLabeler', margin=0.3))
    result = refined(str(images / 'n1.jpg'), tags=TAGS[1])[0]
    step = PixelAdaptive(bg_threshold=0.4)
    want = step(plain[1]['score_map'], load_image(str(images / 'n1.jpg')))
    np.testing.assert_array_equal(result['score_map'].maps, want.maps)
    np.testing.assert_array_equal(result['label'],
                                  ThresholdLabeler(margin=0.3)(want))
    # without a word, those of the config's PseudoLabelHook
    cfg = Config.fromfile(CONFIG)
    cfg.default_hooks.pseudo_labels.update(
        refiners=[dict(type='group_wsss.PixelAdaptive', bg_threshold=0.4)])
    other = GroupCAMInferencer(cfg, str(weights), show_progress=False)
    result = other(str(images / 'n1.jpg'), tags=TAGS[1])[0]
    np.testing.assert_array_equal(result['score_map'].maps, want.maps)


def test_dump(build, images, tmp_path):
    out = tmp_path / 'out'
    results = build()(
        str(images), tags=TAGS, out_dir=str(out), keep_scores=True)
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['images'] == NUM_IMAGES
    assert manifest['classes'] == ['background', *VOC_CLASSES]
    assert manifest['labeler']['bg_threshold'] == 0.35
    assert manifest['checkpoint']['name'] == 'tiny.pth'
    assert manifest['image_paths'] == {key: f'{key}.jpg' for key in IDS}
    assert (out / 'ids.txt').read_text().split() == IDS
    for result in results:
        name = result['img_id']
        np.testing.assert_array_equal(
            read_index_png(str(out / f'{name}.png')), result['label'])
        overlay = np.asarray(Image.open(out / 'overlays' / f'{name}.jpg'))
        # tags are below, and a legend where there is something
        height, width = result['label'].shape
        more = 20 + 42 * bool(result['label'].any())
        assert len(overlay) >= height + more
        gap = overlay[:height, :width].astype(int) - result['visualization']
        assert np.abs(gap).mean() < 8
        kept = ScoreMap.load(str(out / 'scores' / f'{name}.npz'))
        np.testing.assert_allclose(
            kept.maps, result['score_map'].maps, atol=1e-3)
    assert 'visualization' not in build()(
        str(images), tags=TAGS, return_vis=False)[0]


def test_all_or_nothing(build, images, tmp_path):
    bad = tmp_path / 'bad.jpg'
    bad.write_bytes(b'not an image')
    out = tmp_path / 'out'
    with pytest.raises(InputError, match='bad.jpg: not an image'):
        build()([images / 'n0.jpg', bad], tags=['cat'], out_dir=str(out))
    assert list(out.iterdir()) == []
    stream = build().stream(str(images), tags=['cat'], out_dir=str(out))
    assert next(stream)['img_id'] == 'n0'
    stream.close()
    assert list(out.iterdir()) == []
    png = tmp_path / 'image.png'
    Image.open(images / 'n0.jpg').save(png)
    before = png.read_bytes()
    with pytest.raises(InputError, match='its label would replace it'):
        build()(png, tags=['cat'], out_dir=str(tmp_path))
    assert png.read_bytes() == before


@pytest.mark.parametrize('options, words', [
    (dict(classes=['a', 'b']), "class 0 is 'a', there 'aeroplane'"),
    (dict(device='gpu'), "device 'gpu'"),
    (dict(reference='none'), 'none: no such file or folder'),
    (dict(reference='none.txt'), 'none.txt: no such image list'),
    (dict(reference=3), 'an image is a path or an array'),
    (dict(reference='x', group_size=1), 'partners need group_size >= 2'),
])
def test_bad_options(build, options, words):
    with pytest.raises(InputError) as caught:
        build(**options)
    assert words in str(caught.value) and '\n' not in str(caught.value)


def test_bad_networks(weights, photo_root, tmp_path):

    def refused(words, change=lambda cfg: None, path=str(weights), **options):
        cfg = Config.fromfile(CONFIG)
        change(cfg)
        with pytest.raises(InputError, match=words):
            GroupCAMInferencer(cfg, path, **options)

    refused('tiny.pth: .*classifier.weight',
            lambda cfg: cfg.model.head.update(num_classes=7))
    refused(
        'is for stage 1, group_wsss.Group', lambda cfg: cfg.merge_from_dict(
            dict(model=dict(type='ImageClassifier', neck=None, head=None))))
    refused('has no test pipeline', lambda cfg: cfg.pop('test_dataloader'))
    refused('none.pth: no such checkpoint', path='none.pth')
    few = str(tmp_path / 'few.pth')
    meta = dict(dataset_meta=dict(classes=('a', 'b')))
    torch.save(dict(torch.load(weights), meta=meta), few)
    refused('2 class names for a network of 20', path=few)
    refused(
        'tta needs tta_model and', lambda cfg: cfg.pop('tta_model'), tta=True)
    data = dict(
        type='group_wsss.ImageLevelDataset',
        data_root=str(photo_root),
        ann_file='list.txt',
        metainfo=dict(classes=list('abcd')))
    refused('of reference differ from .*tiny.pth', reference=data)
