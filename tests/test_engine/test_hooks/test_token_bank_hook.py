# Copyright (c) group_wsss contributors. All rights reserved.
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

from group_wsss.engine.hooks import TokenBankHook
from group_wsss.engine.hooks.token_bank_hook import _read
from group_wsss.engine.runner import DataRunner
from group_wsss.models import GroupCAM
from group_wsss.structures import Dump, TokenBank
from group_wsss.utils.errors import InputError

WORKER = Path(__file__).parents[1] / 'token_bank_worker.py'
NUMBER = iter(range(1000))


def _worker():
    spec = importlib.util.spec_from_file_location('token_bank_worker', WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


config = _worker().config


@pytest.fixture(autouse=True)
def data(monkeypatch, tiny_voc):
    monkeypatch.setenv('DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('TRAIN_LIST', 'ImageSets/train_cls.txt')


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """Weights of two seeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DATA_ROOT', 'nowhere')
        patch.setenv('TRAIN_LIST', 'nothing.txt')
        cfg = config('', '')
    paths = [tmp_path_factory.mktemp('weights') / f'{i}.pth' for i in (0, 1)]
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = MODELS.build(cfg.model)
            model.init_weights()
        # maps of both signs, features that vary
        torch.nn.init.normal_(model.head.classifier.weight)
        nodes = model.backbone(torch.randn(8, 3, 64, 64))[-1]
        model.neck.coattention.whiten.update(nodes.detach())
        torch.save(dict(state_dict=model.state_dict(), meta=dict()), path)
    return paths


def run(work_dir, checkpoint, name='tiny_group_cam', **options):
    """Run a test loop."""
    experiment = f'token-bank-{next(NUMBER)}'
    cfg = config(
        work_dir, checkpoint, name, experiment_name=experiment, **options)
    DataRunner.from_cfg(cfg).test()


def scores(work_dir):
    dump = Dump.open(str(work_dir / 'pseudo_labels'))
    return {name: dump.read_scores(name).maps for name in dump.ids}


def assert_close(one, two, tolerance):
    """Score maps of two dumps."""
    one, two = scores(one), scores(two)
    assert one.keys() == two.keys()
    for key, maps in one.items():
        np.testing.assert_allclose(two[key], maps, atol=tolerance)
    return len(one)


def files(work_dir):
    """Bytes of labels, scores and tokens."""
    found = {
        str(path.relative_to(work_dir)): path.read_bytes()
        for ending in ('*.png', '*.npz', 'tokens.bin')
        for path in work_dir.rglob(ending)
    }
    assert len(found) == 17, sorted(found)
    return found


def assert_made_anew(root, checkpoint, **options):
    """A bank of something else is not used: as in an empty folder."""
    shutil.rmtree(root / 'fresh', ignore_errors=True)
    for name in ('work', 'fresh'):
        run(root / name, checkpoint, **options)
    assert files(root / 'work') == files(root / 'fresh')


@pytest.fixture
def passes(monkeypatch):
    """Images that the backbone sees."""
    seen, run = [], GroupCAM.backbone_maps

    def count(self, inputs):
        seen.append(len(inputs))
        return run(self, inputs)

    monkeypatch.setattr(GroupCAM, 'backbone_maps', count)
    return seen


# the tiny config with one view, so that partners are the same
ONE_VIEW = [
    dict(type='group_wsss.LoadImage'),
    dict(
        type='TestTimeAug',
        transforms=[[dict(type='Resize', scale=(64, 64), keep_ratio=False)],
                    [dict(type='RandomFlip', prob=0., direction='horizontal')],
                    [
                        dict(
                            type='PackInputs',
                            meta_keys=('img_id', 'img_path', 'ori_shape',
                                       'flip', 'flip_direction'))
                    ]])
]


@pytest.mark.parametrize('name', ['tiny_group_cam', 'tiny_group_cam_tta'])
def test_labels_are_those_of_partners(tmp_path, checkpoints, name, passes):
    bank = 'default_hooks.token_bank'
    tta = name.endswith('tta')
    runs = [
        ('old', 8 * 4, {bank: None}),
        # maps have 8 x 8 positions
        ('new', 8 * (1 + tta), {f'{bank}.pool_size': 8}),
        ('alone', 8, dict(test_group_size=1))
    ]  # yapf: disable
    for folder, images, options in runs:
        passes.clear()
        options['tta_pipeline'] = ONE_VIEW
        run(tmp_path / folder, checkpoints[0], name, **options)
        assert sum(passes) == images
    assert_close(tmp_path / 'old', tmp_path / 'new', 0.005)
    old, alone = scores(tmp_path / 'old'), scores(tmp_path / 'alone')
    assert max(abs(alone[key] - old[key]).max() for key in old) > 0.1
    assert not (tmp_path / 'new/token_bank/maps').exists()
    # a plain classifier has no partners
    assert not (tmp_path / 'alone/token_bank').exists()


def test_scales_and_flips_ask_the_plain_tokens(tmp_path, checkpoints, passes):
    run(tmp_path / 'tta', checkpoints[0], 'tiny_group_cam_tta')
    # the bank; then two scales and flips of the anchors
    assert sum(passes) == 8 + 8 * 4
    passes.clear()
    run(tmp_path / 'tta', checkpoints[0])
    assert sum(passes) == 8, 'tokens are those of the plain pipeline'
    run(tmp_path / 'plain', checkpoints[0])
    assert files(tmp_path / 'tta') == files(tmp_path / 'plain')


def test_tokens_serve_another_k_and_no_other_weights(tmp_path, checkpoints,
                                                     passes):
    run(tmp_path / 'work', checkpoints[0])
    assert sum(passes) == 8
    tokens = tmp_path / 'work/token_bank/tokens.bin'
    first = tokens.read_bytes()
    passes.clear()
    run(tmp_path / 'work', checkpoints[0], test_group_size=7)
    assert sum(passes) == 8 and tokens.read_bytes() == first  # anchors alone
    prefix = 'test_dataloader.dataset.dataset.pipeline.1'
    for options in (dict(), {
            f'{prefix}.scale': (64, 48)
    }, {
            'default_hooks.token_bank.pool_size': 3
    }):
        assert_made_anew(tmp_path, checkpoints[1], **options)
        assert tokens.read_bytes() != first
        first = tokens.read_bytes()


def test_another_list_is_another_bank(tmp_path, checkpoints, tiny_voc):
    run(tmp_path / 'work', checkpoints[0])
    rows = (tiny_voc / 'ImageSets/train_cls.txt').read_text().splitlines()
    other = tmp_path / 'other.txt'
    other.write_text('\n'.join(rows[::-1]) + '\n')
    key = 'test_dataloader.dataset.dataset.ann_file'
    assert_made_anew(tmp_path, checkpoints[0], **{key: str(other)})


def test_an_edited_image_has_other_tokens(tmp_path, checkpoints, tiny_voc):
    root = shutil.copytree(tiny_voc, tmp_path / 'voc')
    options = {'test_dataloader.dataset.dataset.data_root': str(root)}
    run(tmp_path / 'work', checkpoints[0], **options)
    path = next((root / 'JPEGImages').glob('tiny_3.*'))
    image = Image.open(path)
    image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(path)
    assert_made_anew(tmp_path, checkpoints[0], **options)


def test_a_small_disk_costs_a_second_pass_and_no_byte(tmp_path, checkpoints,
                                                      passes, monkeypatch):
    run(tmp_path / 'a', checkpoints[0])
    passes.clear()
    monkeypatch.setattr(TokenBank, 'free_bytes', lambda self: 9999)
    run(tmp_path / 'b', checkpoints[0])
    assert sum(passes) == 16
    assert files(tmp_path / 'a') == files(tmp_path / 'b')


def test_reading_tells_its_progress_to_the_end(monkeypatch, capsys):
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    assert list(_read('abc', [2, 0], 0, '')) == [(2, 'c'), (0, 'a')]
    assert 'token bank: 2/2, ' in capsys.readouterr().err


@pytest.mark.parametrize('workers', [0, 1])
def test_an_image_that_cannot_be_read(tmp_path, checkpoints, tiny_voc,
                                      workers):
    root = shutil.copytree(tiny_voc, tmp_path / 'voc')
    path = root / 'JPEGImages/tiny_3.jpg'
    path.write_bytes(path.read_bytes()[:100])
    prefix = 'test_dataloader.dataset.dataset'
    options = {
        f'{prefix}.data_root': str(root),
        'test_dataloader.num_workers': workers
    }
    with pytest.raises(InputError, match='tiny_3.jpg'):
        run(tmp_path / 'error', checkpoints[0], **options)
    options[f'{prefix}.on_corrupt'] = 'skip'
    bank = 'default_hooks.token_bank'
    for name, more in (('old', {
            bank: None
    }), ('new', {
            f'{bank}.pool_size': 8
    })):
        run(tmp_path / name, checkpoints[0], **options, **more)
    assert assert_close(tmp_path / 'old', tmp_path / 'new', 0.02) == 7


def test_a_model_that_does_not_fit_is_refused_before_training(
        tmp_path, checkpoints):
    cfg = config(
        tmp_path,
        checkpoints[0],
        load_from=None,
        **{'model.neck.num_steps': 2})
    with pytest.raises(InputError, match='^model.neck.num_steps.*=None$'):
        DataRunner.from_cfg(cfg).train()
    assert not (tmp_path / 'iter_2.pth').exists()


@pytest.mark.parametrize('size', [0, 2.5, None])
def test_a_wrong_pool_size(size):
    with pytest.raises(InputError, match='pool_size'):
        TokenBankHook(size)


@pytest.mark.slow
def test_processes_and_kills_change_no_byte(tmp_path, checkpoints, tiny_voc,
                                            run_worker):
    # once among the tokens; once when they are there, among the labels
    names = [('one', 1, 0), ('two', 2, 0), ('killed', 1, 3), ('killed', 1, 7),
             ('killed', 2, 0)]
    jobs = [(str(tmp_path / name), *rest) for name, *rest in names]
    run_worker(WORKER.name, tiny_voc, checkpoints[0], json.dumps(jobs))
    one = files(tmp_path / 'one')
    assert files(tmp_path / 'two') == one
    assert files(tmp_path / 'killed') == one
