# Copyright (c) group_wsss contributors. All rights reserved.
import json

import numpy as np
import pytest
import torch
from PIL import Image

from group_wsss.engine import PseudoLabelHook
from group_wsss.pseudo_labels import BaseRefiner, ThresholdLabeler
from group_wsss.pseudo_labels.thresholds import otsu, score_histogram
from group_wsss.registry import HOOKS, TASK_UTILS
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


@pytest.fixture
def out(toy):
    return toy.work / 'pseudo_labels'


def manifest_of(out):
    return json.loads((out / 'manifest.json').read_text())


def label_of(out, i):
    return read_index_png(str(out / f'sub/{i}.png'))


def files_of(out):
    return {p: p.read_bytes() for p in out.rglob('*') if p.is_file()}


@pytest.mark.parametrize('by_epoch', (True, False))
def test_training_ends_with_labels(toy, out, by_epoch):
    hook = PseudoLabelHook(labeler=LABELER, keep_scores=True)
    runner = toy([hook], by_epoch, length=2, test=True)
    calls = []
    call = runner.call_hook
    runner.call_hook = lambda name, **kwargs: [
        calls.append(name), call(name, **kwargs)
    ]
    runner.train()
    assert calls.count('before_test') == calls.count('after_test') == 1
    for i in range(6):
        np.testing.assert_array_equal(label_of(out, i), _expected(toy, i))
        saved = ScoreMap.load(str(out / f'scores/sub/{i}.npz'))
        assert saved.img_id == f'sub/{i}' and len(saved.class_ids) == 2
    assert len(files_of(out)) == 14  # 6 labels, 6 scores, manifest and ids
    manifest = manifest_of(out)
    assert manifest['images'] == 6
    assert manifest['classes'] == ['background', *toy.classes]
    assert manifest['labeler'] == LABELER and manifest['seed'] == 5
    assert manifest['duration_seconds'] > 0
    name = 'epoch_2.pth' if by_epoch else 'iter_2.pth'
    assert manifest['checkpoint'] == dict(
        name=name, sha256=sha256_of(str(toy.work / name)))
    pixels = sum(_expected(toy, i).size for i in range(6))
    assert sum(manifest['pixels'].values()) == pixels


def test_batch_size_does_not_change_a_byte(toy, out):
    dumps = []
    for batch_size in (1, 4):
        toy([PseudoLabelHook(labeler=LABELER)],
            test=True,
            batch_size=batch_size).test()
        dumps.append({
            path: data
            for path, data in files_of(out).items() if path.suffix == '.png'
        })
    assert dumps[0] == dumps[1] and len(dumps[0]) == 6


@pytest.mark.parametrize('threshold', (.6, 'otsu'))
def test_maps_that_are_not_finite_are_left_out(toy, out, threshold,
                                               monkeypatch):
    labeler = dict(LABELER, bg_threshold=threshold)
    plain = ScoreMap.from_class_maps.__func__
    spoiled = ['sub/3']

    def spoil(cls, img_id, ori_shape, class_ids, class_maps):
        if img_id in spoiled:
            class_maps = class_maps * float('nan')
        return plain(cls, img_id, ori_shape, class_ids, class_maps)

    monkeypatch.setattr(ScoreMap, 'from_class_maps', classmethod(spoil))
    with pytest.raises(InputError, match='sub/3: class maps hold NaN'):
        toy([PseudoLabelHook(labeler=labeler)], test=True).test()
    hook = PseudoLabelHook(labeler=labeler, on_non_finite='skip')
    toy([hook], test=True).test()
    manifest = manifest_of(out)
    assert manifest['images'] == 5 and manifest['skipped'] == ['sub/3']
    assert 'sub/3' not in (out / 'ids.txt').read_text().split()
    assert (out / 'skipped.txt').read_text().count('sub/3') == 2
    assert len(list(out.rglob('*.png'))) == 5
    spoiled += [f'sub/{i}' for i in range(6)]
    with pytest.raises(InputError, match='sub/0: .*those of all 6 images'):
        toy([hook], test=True).test()
    with pytest.raises(InputError, match='on_non_finite=7'):
        PseudoLabelHook(on_non_finite=7)


def test_runner_test_names_the_loaded_checkpoint(toy, out):
    toy(length=1).train()
    path = str(toy.work / 'epoch_1.pth')
    hook = PseudoLabelHook(labeler=LABELER)
    metrics = toy([hook], test=True, load_from=path).test()
    assert metrics == {'toy/images': 6}
    assert manifest_of(out)['checkpoint']['sha256'] == sha256_of(path)
    assert not (out / 'scores').exists()


@pytest.mark.parametrize('interval, length, name',
                         ((-1, 1, None), (2, 3, None), (2, 4, 'epoch_4.pth')))
def test_only_the_checkpoint_of_these_weights_is_named(toy, out, interval,
                                                       length, name):
    toy(length=1).train()  # leaves an epoch_1.pth of other weights
    saving = dict(interval=interval, save_last=False)
    toy([PseudoLabelHook(labeler=LABELER)],
        length=length,
        test=True,
        checkpoint=saving).train()
    found = manifest_of(out)['checkpoint']
    assert found == dict(
        name=name, sha256=name and sha256_of(str(toy.work / name)))


def test_resumed_when_nothing_is_left_to_train(toy, out):
    toy(length=2).train()
    hook = PseudoLabelHook(labeler=LABELER)
    toy([hook], length=2, test=True, resume=True).train()
    assert manifest_of(out)['checkpoint']['name'] == 'epoch_2.pth'


@pytest.mark.parametrize('after_train, test', ((False, True), (True, False)))
def test_training_that_is_to_write_nothing(toy, out, after_train, test):
    """Switched off, or without a test loop."""
    hook = PseudoLabelHook(after_train=after_train)
    toy([hook], length=1, test=test).train()
    assert not out.exists()


def test_interrupted_dump_leaves_the_old_one_alone(toy, out):
    toy([PseudoLabelHook(labeler=LABELER)], test=True).test()
    old = files_of(out)
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


def test_model_or_data_that_does_not_fit_is_refused(toy):

    class Plain(toy.model):

        def forward(self, inputs, data_samples=None, mode='tensor'):
            return list(data_samples)

    with pytest.raises(InputError, match='class_ids'):
        toy([PseudoLabelHook()], test=True, model=Plain()).test()
    runner = toy([PseudoLabelHook()], test=True)
    runner.test_loop.dataloader.dataset.metainfo = dict(classes=('a', 'b'))
    with pytest.raises(InputError, match='class id 2.*2 classes'):
        runner.test()


def test_registered():
    hook = HOOKS.build(dict(type='group_wsss.PseudoLabelHook'))
    assert hook.labeler.bg_threshold == .35


@TASK_UTILS.register_module()
class RedOfTheTests(BaseRefiner):
    """Scores times the red of the image."""

    supervision = 'A'

    def refine(self, maps, image=None):
        assert not image[..., 1:].any()
        size = image.shape[0] // 2, image.shape[1] // 2
        assert maps.shape[1:] == size
        return maps * (image[0, 0, 0] / np.float32(255))


def test_refiners_and_a_threshold_from_the_scores(toy, out):

    class WithPaths(toy.dataset):
        """Red images of the toy set's sizes."""

        data_prefix = dict(img_path=str(toy.root))

        def get_data_info(self, i):
            return dict(img_id=f'sub/{i}', img_path=str(toy.root / f'{i}.png'))

        def __getitem__(self, i):
            item = super().__getitem__(i)
            path = self.get_data_info(i)['img_path']
            size = item['inputs'].shape[:0:-1]
            Image.new('RGB', size, (40 * i, 0, 0)).save(path)
            item['data_samples'].set_metainfo(dict(img_path=path))
            return item

    refiners = [dict(type='group_wsss.RedOfTheTests')]
    hook = PseudoLabelHook(
        labeler=dict(LABELER, bg_threshold='otsu'),
        refiners=refiners,
        keep_scores=True)
    toy([hook], test=True, test_dataset=WithPaths(flips=(None, ))).test()
    maps = [ScoreMap.load(str(out / f'scores/sub/{i}.npz')) for i in range(6)]
    threshold = otsu(sum(map(score_histogram, maps)))
    for i, score_map in enumerate(maps):
        assert score_map.maps.max() == pytest.approx(40 * i / 255, abs=1e-3)
        np.testing.assert_array_equal(
            label_of(out, i),
            ThresholdLabeler(threshold)(score_map))
    manifest = manifest_of(out)
    assert manifest['chosen_thresholds'] == [threshold]
    assert manifest['refiners'] == refiners
    assert manifest['supervision'] == ['I', 'A']
    assert manifest['image_paths'] == {
        f'sub/{i}': f'{i}.png'
        for i in range(6)
    }
    # without an image
    with pytest.raises(InputError, match='sub/0: .*needs the image'):
        toy([PseudoLabelHook(refiners=refiners)], test=True).test()
