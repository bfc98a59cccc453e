# Copyright (c) group_wsss contributors. All rights reserved.
import json

import numpy as np
import pytest
import torch
from PIL import Image

from group_wsss.engine import PseudoLabelHook
from group_wsss.pseudo_labels import BaseRefiner, ThresholdLabeler
from group_wsss.pseudo_labels.thresholds import otsu, score_histogram
from group_wsss.registry import TASK_UTILS
from group_wsss.structures import ScoreMap, read_index_png
from group_wsss.utils.errors import InputError
from group_wsss.utils.versions import sha256_of

LABELER = dict(type='group_wsss.ThresholdLabeler', bg_threshold=.6)


def _expected(toy, i):
    image = toy.dataset(flips=(None, )).images[i]
    ids = sorted([i % 3, (i + 1) % 3])
    maps = torch.stack([image[c, ::2, ::2] for c in ids])
    score_map = ScoreMap.from_class_maps(f'sub/{i}', image.shape[1:], ids,
                                         maps)
    return ThresholdLabeler(.6)(score_map)


@pytest.mark.parametrize('by_epoch', (True, False))
def test_training_ends_with_labels(toy, by_epoch):
    hook = PseudoLabelHook(labeler=LABELER, keep_scores=True)
    runner = toy([hook], by_epoch, length=2, test=True)
    calls = []
    call = runner.call_hook

    def watch(name, **kwargs):
        calls.append(name)
        call(name, **kwargs)

    runner.call_hook = watch
    runner.train()
    assert calls.count('before_test') == calls.count('after_test') == 1
    out = toy.root / 'work' / 'pseudo_labels'
    for i in range(6):
        np.testing.assert_array_equal(
            read_index_png(str(out / f'sub/{i}.png')), _expected(toy, i))
        saved = ScoreMap.load(str(out / f'scores/sub/{i}.npz'))
        assert saved.img_id == f'sub/{i}' and len(saved.class_ids) == 2
    files = [p.name for p in out.rglob('*') if p.is_file()]
    assert len(files) == 14  # 6 labels, 6 scores, manifest and ids
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['images'] == 6
    assert manifest['classes'] == ['background', *toy.classes]
    assert manifest['labeler'] == LABELER and manifest['seed'] == 5
    assert manifest['duration_seconds'] > 0
    name = 'epoch_2.pth' if by_epoch else 'iter_2.pth'
    assert manifest['checkpoint'] == dict(
        name=name, sha256=sha256_of(str(toy.root / 'work' / name)))
    pixels = sum(_expected(toy, i).size for i in range(6))
    assert sum(manifest['pixels'].values()) == pixels


def test_batch_size_does_not_change_a_byte(toy):
    dumps = []
    for batch_size in (1, 4):
        out = toy.root / f'out{batch_size}'
        hook = PseudoLabelHook(str(out), LABELER)
        toy([hook], test=True, batch_size=batch_size).test()
        dumps.append({
            p.relative_to(out): p.read_bytes()
            for p in sorted(out.rglob('*.png'))
        })
    assert dumps[0] == dumps[1] and len(dumps[0]) == 6


@pytest.mark.parametrize('threshold', (.6, 'otsu'))
def test_maps_that_are_not_finite_are_left_out(toy, threshold, monkeypatch):
    labeler = dict(LABELER, bg_threshold=threshold)
    plain = ScoreMap.from_class_maps.__func__

    def spoil(cls, img_id, ori_shape, class_ids, class_maps):
        if img_id == 'sub/3':
            class_maps = class_maps * float('nan')
        return plain(cls, img_id, ori_shape, class_ids, class_maps)

    monkeypatch.setattr(ScoreMap, 'from_class_maps', classmethod(spoil))
    with pytest.raises(InputError, match='sub/3: class maps hold NaN'):
        toy([PseudoLabelHook(str(toy.root / 'no'), labeler)], test=True).test()
    out = toy.root / 'out'
    hook = PseudoLabelHook(str(out), labeler, on_non_finite='skip')
    toy([hook], test=True).test()
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['images'] == 5 and manifest['skipped'] == ['sub/3']
    assert 'sub/3' not in (out / 'ids.txt').read_text().split()
    assert (out / 'skipped.txt').read_text().count('sub/3') == 2
    assert len(list(out.rglob('*.png'))) == 5
    with pytest.raises(InputError, match='on_non_finite=7'):
        PseudoLabelHook(on_non_finite=7)


def test_runner_test_names_the_loaded_checkpoint(toy):
    toy(length=1).train()
    path = str(toy.root / 'work' / 'epoch_1.pth')
    hook = PseudoLabelHook(labeler=LABELER)
    metrics = toy([hook], test=True, load_from=path).test()
    assert metrics == {'toy/images': 6}
    out = toy.root / 'work' / 'pseudo_labels'
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['checkpoint']['sha256'] == sha256_of(path)
    assert not (out / 'scores').exists()


@pytest.mark.parametrize('interval, length, good',
                         ((-1, 1, False), (2, 3, False), (2, 4, True)))
def test_only_the_checkpoint_of_these_weights_is_named(toy, interval, length,
                                                       good):
    toy(length=1).train()  # leaves an epoch_1.pth of other weights
    hook = PseudoLabelHook(labeler=LABELER)
    saving = dict(interval=interval, save_last=False)
    toy([hook], length=length, test=True, checkpoint=saving).train()
    out = toy.root / 'work' / 'pseudo_labels'
    manifest = json.loads((out / 'manifest.json').read_text())
    expected = dict(name=None, sha256=None)
    if good:
        path = toy.root / 'work' / 'epoch_4.pth'
        expected = dict(name='epoch_4.pth', sha256=sha256_of(str(path)))
    assert manifest['checkpoint'] == expected


def test_resumed_when_nothing_is_left_to_train(toy):
    toy(length=2).train()
    hook = PseudoLabelHook(labeler=LABELER)
    toy([hook], length=2, test=True, resume=True).train()
    out = toy.root / 'work' / 'pseudo_labels'
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['checkpoint']['name'] == 'epoch_2.pth'


def test_after_train_can_be_switched_off(toy):
    hook = PseudoLabelHook(after_train=False)
    toy([hook], length=1, test=True).train()
    assert not (toy.root / 'work' / 'pseudo_labels').exists()


def test_training_without_a_test_loop(toy):
    toy([PseudoLabelHook()], length=1).train()
    assert not (toy.root / 'work' / 'pseudo_labels').exists()


def test_interrupted_dump_leaves_the_old_one_alone(toy):
    hook = PseudoLabelHook(labeler=LABELER)
    toy([hook], test=True).test()
    out = toy.root / 'work' / 'pseudo_labels'
    old = {p: p.read_bytes() for p in out.rglob('*') if p.is_file()}
    assert out / 'manifest.json' in old
    hook = PseudoLabelHook(labeler=LABELER)
    label, seen = hook.labeler, []

    def interrupt(score_map):
        seen.append(score_map)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return 0 * label(score_map)

    hook.labeler = interrupt
    with pytest.raises(KeyboardInterrupt):
        toy([hook], test=True).test()
    for path, data in old.items():
        assert path.read_bytes() == data


def test_unwritable_folder_fails_before_training(toy):
    (toy.root / 'file').write_text('x')
    model = toy.model()
    hook = PseudoLabelHook(str(toy.root / 'file' / 'out'))
    with pytest.raises(InputError, match='file'):
        toy([hook], test=True, model=model).train()
    assert model.step == 0


def test_model_without_class_maps_is_refused(toy):

    class Plain(toy.model):

        def forward(self, inputs, data_samples=None, mode='tensor'):
            return list(data_samples)

    with pytest.raises(InputError, match='class_ids'):
        toy([PseudoLabelHook()], test=True, model=Plain()).test()


def test_class_beyond_the_dataset_is_refused(toy):
    runner = toy([PseudoLabelHook()], test=True)
    runner.test_loop.dataloader.dataset.metainfo = dict(classes=('a', 'b'))
    with pytest.raises(InputError, match='class id 2.*2 classes'):
        runner.test()


def test_registered():
    from group_wsss.registry import HOOKS
    hook = HOOKS.build(dict(type='group_wsss.PseudoLabelHook'))
    assert hook.labeler.bg_threshold == .35


def _images(toy):
    """Red images of the toy set's sizes, at the paths of its samples."""
    dataset = toy.dataset(flips=(None, ))
    get = type(dataset).__getitem__

    class WithPaths(type(dataset)):

        def __getitem__(self, i):
            item = get(self, i)
            path = str(toy.root / f'{i}.png')
            item['data_samples'].set_metainfo(dict(img_path=path))
            return item

        data_prefix = dict(img_path=str(toy.root))

        def get_data_info(self, i):
            return dict(img_id=f'sub/{i}', img_path=str(toy.root / f'{i}.png'))

    for i, image in enumerate(dataset.images):
        red = np.zeros((*image.shape[1:], 3), np.uint8)
        red[..., 0] = 40 * i
        Image.fromarray(red).save(toy.root / f'{i}.png')
    return WithPaths(flips=(None, ))


@TASK_UTILS.register_module()
class RedOfTheTests(BaseRefiner):
    """Scores times the red of the image."""

    supervision = 'A'

    def refine(self, maps, image=None):
        assert not image[..., 1:].any()
        size = image.shape[0] // 2, image.shape[1] // 2
        assert maps.shape[1:] == size
        return maps * (image[0, 0, 0] / np.float32(255))


def test_refiners_and_a_threshold_from_the_scores(toy):
    hook = PseudoLabelHook(
        labeler=dict(LABELER, bg_threshold='otsu'),
        refiners=[dict(type='group_wsss.RedOfTheTests')],
        keep_scores=True)
    toy([hook], test=True, test_dataset=_images(toy)).test()
    out = toy.root / 'work' / 'pseudo_labels'
    maps = [ScoreMap.load(str(out / f'scores/sub/{i}.npz')) for i in range(6)]
    for i, score_map in enumerate(maps):
        assert score_map.maps.max() == pytest.approx(40 * i / 255, abs=1e-3)
    threshold = otsu(sum(map(score_histogram, maps)))
    for i, score_map in enumerate(maps):
        np.testing.assert_array_equal(
            read_index_png(str(out / f'sub/{i}.png')),
            ThresholdLabeler(threshold)(score_map))
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['chosen_thresholds'] == [threshold]
    assert manifest['refiners'] == [dict(type='group_wsss.RedOfTheTests')]
    assert manifest['image_paths'] == {
        f'sub/{i}': f'{i}.png'
        for i in range(6)
    }
    assert manifest['supervision'] == ['I', 'A']


def test_a_refiner_without_the_image(toy):
    hook = PseudoLabelHook(
        refiners=[dict(type='group_wsss.RedOfTheTests')], labeler=LABELER)
    with pytest.raises(InputError, match='sub/0: .*needs the image'):
        toy([hook], test=True).test()
