# Copyright (c) group_wsss contributors. All rights reserved.
import csv
import io
import json

import numpy as np
import pytest

from group_wsss.contrib.analysis import analyze_dump, describe, report_files
from group_wsss.evaluation import (boundary_counts, class_scores,
                                   confusion_matrix, evaluate_folder,
                                   open_dump)
from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.pseudo_labels.thresholds import otsu, score_histogram
from group_wsss.structures import DumpWriter, ScoreMap, encode_index_png
from group_wsss.utils.errors import InputError

CLASSES = ('cat', 'a, "b"', 'nowhere')
# an image without tags, one with a single tag, two with both
TAGS = {'w': (), 'x': (0, ), 'y': (0, 1), 'sub/z': (1, 0)}


@pytest.fixture
def data(tmp_path):
    """A dump with scores and its masks; label and mask by image."""
    rng = np.random.default_rng(0)
    writer = DumpWriter(str(tmp_path / 'dump'), CLASSES)
    labeler = ThresholdLabeler(.4, unknown_threshold=.3)
    images = {}
    for i, (img_id, tags) in enumerate(TAGS.items()):
        shape = (14 + i, 19 - i)
        maps = rng.random((len(tags), 7, 9)).astype(np.float16)
        if img_id == 'y':
            maps[1] *= .3  # never above the threshold: a missed tag
        score_map = ScoreMap(img_id, shape, tags, maps)
        score_map.save(f'{writer.staging}/scores/{img_id}.npz')
        label = labeler(score_map)
        writer.write(img_id, label)
        mask = rng.choice([0, 0, 1, 2, 255], shape).astype(np.uint8)
        path = tmp_path / 'masks' / f'{img_id}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_index_png(mask))
        images[img_id] = (label, mask, score_map)
    writer.finish(labeler=dict(type='ThresholdLabeler', bg_threshold=.4))
    return str(tmp_path / 'dump'), str(tmp_path / 'masks'), images


def _image_miou(label, mask):
    iou = []
    for c in range(4):
        p, m = (label == c) & (mask < 255), (mask == c)
        if (p | m).any():
            iou.append((p & m).sum() / (p | m).sum())
    return 100 * float(np.mean(iou))


def test_without_masks(data):
    dump, _, images = data
    report = analyze_dump(open_dump(dump))
    labels = np.concatenate([label.ravel() for label, _, _ in images.values()])
    head = report['labels']
    assert head['images'] == 4 and head['pixels'] == len(labels)
    assert head['unknown_share'] == pytest.approx(100 * (labels == 255).mean())
    assert head['foreground_share'] == pytest.approx(
        100 * ((labels > 0) & (labels < 255)).mean())
    assert head['images_without_foreground'] == 1
    assert [row['id'] for row in head['most_unknown']] == sorted(
        (name for name in images if name != 'w'),
        key=lambda name: -(images[name][0] == 255).mean())
    assert report['tags'] == dict(
        tags=5, missed=1, untagged=0, images_with_missed=1)
    assert [row['id'] for row in report['images']] == sorted(TAGS)
    rows = {row['id']: row for row in report['images']}
    assert rows['y']['missed_tags'] == ['a, "b"']
    assert rows['sub/z']['tags'] == ['cat', 'a, "b"']
    assert rows['w']['tags'] == [] and rows['w']['components'] == 0
    for i, row in enumerate(report['per_class']):
        assert row['pixels'] == (labels == i).sum()
        assert row['share'] == pytest.approx(100 * (labels == i).mean())
        assert row['images'] == sum(
            (label == i).any() for label, _, _ in images.values())
        assert row['tagged'] == sum(i - 1 in tags for tags in TAGS.values())
    assert report['per_class'][2]['tag_missed'] == 1
    histogram = sum(score_histogram(item[2]) for item in images.values())
    assert report['scores']['histogram'] == histogram.tolist()
    assert report['scores']['proposals'] == dict(otsu=otsu(histogram))
    assert report['scores']['agreement'] == 100
    assert report['errors'] is None and report['curve'] is None
    assert set(report_files(report)) == {
        'analysis.json', 'per_class.csv', 'images.csv'
    }
    text = describe(report)
    assert '1 of 5 tags have no pixel in their label, most often a, "b" ' in (
        text)
    # five of a list, however long
    report['labels']['most_unknown'] *= 3
    line, = (
        line for line in describe(report).splitlines()
        if line.startswith('Most unknown: '))
    assert line.count('(') == 5
    assert 'By otsu' not in text and 'by otsu, from the scores alone' in text


def test_with_masks(data):
    dump, masks, images = data
    report = analyze_dump(open_dump(dump), masks)
    errors, expected = report['errors'], evaluate_folder(
        dump, masks, CLASSES, ids=list(TAGS))
    for key in ('mIoU', 'mIoU_known', 'mIoU_unknown_as_background',
                'confusion'):
        assert errors[key] == expected[key]
    for row in report['per_class']:
        figures = expected['per_class'][row['class_name']]
        for key in ('iou', 'precision', 'recall'):
            assert row[key] == pytest.approx(figures[key], nan_ok=True)
        assert row['mask_images'] == figures['images']
    boundary = sum(
        np.stack(boundary_counts(label, mask, 4))
        for label, mask, _ in images.values())
    shares = 100 * boundary[0][:3] / boundary[1][:3]
    assert errors['boundary_mIoU'] == pytest.approx(shares.mean())
    assert report['per_class'][1]['boundary_iou'] == pytest.approx(shares[1])
    label, mask = (
        np.concatenate([item[i].ravel() for item in images.values()])
        for i in (0, 1))
    truth, found = np.isin(mask, (1, 2)), np.isin(label, (1, 2))
    assert errors['wrong_pixels'] == dict(
        missed_to_background=(truth & (label == 0)).sum(),
        missed_to_unknown=(truth & (label == 255)).sum(),
        taken=(truth & found & (label != mask)).sum(),
        leak=((mask == 0) & found).sum())
    assert errors['unknown_background'] == ((label == 255) & (mask == 0)).sum()
    by_id = {name: _image_miou(*item[:2]) for name, item in images.items()}
    assert errors['worst'] == sorted(by_id, key=by_id.get)
    names = dict(enumerate(('background', *CLASSES)))
    names[255] = 'unknown'
    for row in report['images']:
        assert row['mIoU'] == pytest.approx(by_id[row['id']])
        label, mask, _ = images[row['id']]
        cells = {
            (names[m], names[p]): ((label == p) & (mask == m)).sum()
            for m in range(4)
            for p in names if m != p
        }
        top = max(cells.values())
        worst = row['worst_mask_class'], row['worst_label_class']
        assert cells[worst] == top
        assert row['worst_share'] == pytest.approx(100 * top /
                                                   (mask < 255).sum())
    assert {(row['images'], row['mask_class'])
            for row in errors['pairs']} == {(2, 'cat'), (2, 'a, "b"')}


def test_thresholds(data):
    dump, masks, images = data
    curve = analyze_dump(open_dump(dump), masks)['curve']
    assert len(curve['points']) == 97  # 0.4 is among the 96, Otsu's is not
    best = max(point['mIoU'] for point in curve['points'])
    assert curve['oracle']['mIoU'] == best
    assert curve['oracle']['chosen_on'] == 'masks'
    assert curve['mask_free']['otsu']['chosen_on'] == 'scores'
    for point in (curve['fixed'], curve['oracle'], curve['mask_free']['otsu']):
        labeler = ThresholdLabeler(point['threshold'])
        confusion = sum(
            confusion_matrix(labeler(score_map), mask, 4)
            for _, mask, score_map in images.values())
        iou = class_scores(confusion)['iou']
        assert point['mIoU'] == pytest.approx(100 * np.nanmean(iou))
    assert curve['fixed']['threshold'] == .4


def test_threshold_that_a_rule_chose(data, tmp_path):
    dump, masks, _ = data
    path = tmp_path / 'dump' / 'manifest.json'
    manifest = json.loads(path.read_text())
    manifest['labeler']['bg_threshold'] = 'otsu'
    manifest['chosen_thresholds'] = [.5]
    path.write_text(json.dumps(manifest))
    report = analyze_dump(open_dump(dump), masks)
    assert report['dump']['bg_threshold'] == .5
    assert report['curve']['fixed']['threshold'] == .5
    assert report['scores']['agreement'] < 95
    assert 'the scores are of another run' in describe(report)
    del manifest['chosen_thresholds']
    path.write_text(json.dumps(manifest))
    report = analyze_dump(open_dump(dump), masks)
    assert report['curve']['fixed'] is None
    assert np.isnan(report['scores']['agreement'])


def test_without_scores_tags_are_the_classes_of_the_masks(data):
    dump, masks, images = data
    report = analyze_dump(open_dump(dump, use_scores=False), masks)
    assert report['curve'] is None and report['scores'] is None
    assert report['dump']['tags_from'] == 'masks'
    assert {row['images'] for row in report['errors']['pairs']} == {4}
    assert report['tags']['tags'] == 8
    text = describe(report)
    assert 'classes of the masks have no pixel' in text
    assert 'note: no scores' in text and 'Oracle' not in text
    report = analyze_dump(open_dump(dump, use_scores=False))
    assert report['tags'] is None
    assert report['images'][0]['tags'] is None
    assert report['images'][0]['missed_tags'] == []


def test_labels_without_tag(data, tmp_path):
    (tmp_path / 'list.txt').write_text('x 1\ny 0\n')
    report = analyze_dump(
        open_dump(data[0], image_list=str(tmp_path / 'list.txt')))
    assert report['tags'] == dict(
        tags=2, missed=1, untagged=1, images_with_missed=1)
    assert report['per_class'][1]['untagged'] == 1
    assert '1 times the label' in describe(report)


def test_files_say_what_the_report_says(data):
    dump, masks, _ = data
    report = analyze_dump(open_dump(dump), masks)
    files = report_files(report)
    content = json.loads(
        files['analysis.json'], parse_constant=lambda name: pytest.fail(name))
    assert content['errors']['mIoU'] == report['errors']['mIoU']
    assert content['per_class'][3]['iou'] is None  # NaN
    tables = {
        name: list(csv.DictReader(io.StringIO(text.decode(), newline='')))
        for name, text in files.items() if name.endswith('.csv')
    }
    assert [row['class_name']
            for row in tables['per_class.csv']] == ['background', *CLASSES]
    assert tables['per_class.csv'][3]['iou'] == ''
    assert float(tables['per_class.csv'][1]['iou']) == pytest.approx(
        report['per_class'][1]['iou'], rel=1e-5)
    rows = {row['id']: row for row in tables['images.csv']}
    assert rows['y']['missed_tags'] == 'a, "b"'
    assert rows['sub/z']['tags'] == 'cat; a, "b"'
    assert {row['label_class']
            for row in tables['confusions.csv']} == set(CLASSES[:2])
    assert len(tables['curve.csv']) == 97


def test_perfect_labels(data, tmp_path):
    _, masks, images = data
    for img_id, (_, mask, _) in images.items():
        path = tmp_path / 'masks' / f'{img_id}.png'
        path.write_bytes(encode_index_png(np.where(mask > 2, 0, mask)))
    report = analyze_dump(open_dump(masks, classes='3'), masks)
    assert report['errors']['mIoU'] == report['errors']['boundary_mIoU'] == 100
    assert report['images'][0]['worst_mask_class'] is None
    assert 'Every pixel is right.' in describe(report)


def test_bad_input_is_named(data, tmp_path):
    dump, masks, images = data
    x = images['x'][2]
    path = f'{dump}/scores/x.npz'
    for score_map, match in (
        (images['w'][2], "x.npz: holds the maps of image 'w'"),
        (ScoreMap('x', (3, 3), x.class_ids, x.maps),
         r'x.npz: .*\(3, 3\).*\(15, 18\)'),
        (ScoreMap('x', (15, 18), [3], x.maps),
         'x.npz: class id 3 with 3 classes')):  # yapf: disable
        score_map.save(path)
        with pytest.raises(InputError, match=match):
            analyze_dump(open_dump(dump))
    bare = open_dump(dump, use_scores=False)

    def refuse(match, masks):
        with pytest.raises(InputError, match=match):
            analyze_dump(bare, masks)

    mask = tmp_path / 'masks' / 'x.png'
    mask.write_bytes(encode_index_png(np.zeros((3, 3), np.uint8)))
    refuse(r'masks/x.png: \(3, 3\).*\(15, 18\)', masks)
    (tmp_path / 'dump' / 'x.png').write_bytes(
        encode_index_png(np.full((15, 18), 9, np.uint8)))
    refuse('dump/x.png: value 9 .*4 classes', None)
