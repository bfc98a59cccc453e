# Copyright (c) group_wsss contributors. All rights reserved.
"""NaN and infinity are stopped; what is merely empty stays finite."""
import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmpretrain.structures import DataSample
from torch.utils.data import Dataset

from group_wsss.contrib.reliability import NonFiniteHook
from group_wsss.engine.refine import RefineJob, refine_dump
from group_wsss.evaluation import class_scores, confusion_matrix, mean_known
from group_wsss.models.utils import GroupMaps, pool_maps
from group_wsss.pseudo_labels import LabelDump, Refiners
from group_wsss.pseudo_labels.refiners.base import BaseRefiner
from group_wsss.pseudo_labels.thresholds import NUM_BINS, otsu, score_histogram
from group_wsss.registry import MODELS, TASK_UTILS
from group_wsss.structures import DumpWriter, ScoreMap
from group_wsss.utils.errors import InputError

NAMES = itertools.count()


class Numbers(Dataset):
    """Items that are numbers; the bad ones are not."""
    metainfo: dict = {}

    def __init__(self, bad=(), value=float('nan'), n=12):
        torch.manual_seed(0)
        self.inputs = torch.randn(n, 3)
        self.inputs[list(bad), 1] = value

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, i):
        sample = BaseDataElement(metainfo=dict(img_path=f'photos/n{i}.jpg'))
        return dict(inputs=self.inputs[i], data_samples=sample)


class Net(BaseModel):
    """Batch norm, so that a bad batch would spoil its buffers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.norm = nn.BatchNorm1d(3)
        self.last = nn.Linear(3, 1)
        self.samples = []

    def forward(self, inputs, data_samples=None, mode='tensor'):
        out = self.last(self.norm(torch.stack(list(inputs))))
        self.samples += data_samples
        return dict(
            acc=out.new_tensor(float('nan')),  # no loss, may be anything
            loss_a=[out.square().mean(), out.mean()],
            loss_b=(inputs[0].sum() - inputs[0].sum() + 1) * out.mean())


def train(tmp_path, bad=(), value=float('nan'), steps=6, **hook):
    """A run on batches of two, in order."""
    runner = Runner(
        model=Net(),
        work_dir=str(tmp_path),
        train_cfg=dict(by_epoch=False, max_iters=steps),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            dataset=Numbers(bad, value),
            collate_fn=pseudo_collate,
            sampler=dict(type='DefaultSampler', shuffle=False)),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1, momentum=.9)),
        custom_hooks=[dict(type='group_wsss.NonFiniteHook', **hook)],
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook', interval=steps, by_epoch=False)),
        experiment_name=f'numbers-{next(NAMES)}',
        randomness=dict(seed=0),
        log_level='ERROR',
        default_scope='mmengine')
    runner.train()
    return runner


def reference(bad_batches, steps=6):
    """The same, in a plain loop that leaves batches out."""
    net, data = Net(), Numbers()
    optim = torch.optim.SGD(net.parameters(), lr=.1, momentum=.9)
    for step in range(steps):
        if step in bad_batches:
            continue
        items = [data[2 * step], data[2 * step + 1]]
        losses = net([item['inputs'] for item in items],
                     [item['data_samples'] for item in items])
        total = sum(loss.mean()
                    for loss in losses['loss_a']) + losses['loss_b'].mean()
        optim.zero_grad()
        total.backward()
        optim.step()
    return net.state_dict()


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_loss_stops_the_run(value, tmp_path):
    with pytest.raises(InputError) as caught:
        train(tmp_path, bad=[5], value=value)
    assert str(caught.value) == 'iteration 3: loss_a is nan, images n4, n5'
    assert not list(tmp_path.rglob('*.pth'))


def test_the_loss_is_named():
    look = NonFiniteHook.before_train.__globals__['_first_non_finite']
    good, bad = torch.ones(2), torch.tensor([1, -float('inf')])
    assert look(dict(loss=good, acc=bad)) is None
    assert look(dict(loss=good, aux_loss=[good, bad])) == 'aux_loss is -inf'
    assert look(dict(acc=bad)) is None


def test_skip_is_to_leave_the_batch_out(tmp_path):
    runner = train(tmp_path, bad=[4, 9], action='skip')
    state = runner.model.state_dict()
    hook = next(h for h in runner.hooks if isinstance(h, NonFiniteHook))
    assert hook.count == 2 and hook.in_a_row == 0
    assert all(value.isfinite().all() for value in state.values())
    left_out = [s.get('left_out', False) for s in runner.model.samples]
    assert np.flatnonzero(left_out).tolist() == [4, 5, 8, 9]
    assert 'update_params' not in vars(runner.optim_wrapper)
    assert not runner.model._forward_hooks
    torch.testing.assert_close(state, reference({2, 4}), rtol=0, atol=0)


def test_nothing_is_left_out_of_a_good_run(tmp_path):
    state = train(tmp_path, action='skip').model.state_dict()
    torch.testing.assert_close(state, reference(()), rtol=0, atol=0)


def test_patience(tmp_path):
    with pytest.raises(InputError, match='iteration 4: .*n7: 3 batches in a'):
        train(tmp_path, bad=[2, 4, 6, 8], action='skip', patience=3)


def test_wrong_settings():
    with pytest.raises(InputError, match="action of NonFiniteHook is 'x'"):
        NonFiniteHook(action='x')
    runner = SimpleNamespace(model=Net(), optim_wrapper=OptimWrapperDict())
    with pytest.raises(InputError, match='one optimizer'):
        NonFiniteHook(action='skip').before_train(runner)


def test_gradients_are_not_looked_at():
    # as with GradScaler: a finite loss, gradients that overflow
    net, steps = Net(), []
    wrapper = OptimWrapper(torch.optim.SGD(net.parameters(), lr=.1))
    wrapper.scale_loss = lambda loss: loss * float('inf')
    wrapper.step = lambda **kwargs: steps.append(1)
    runner = SimpleNamespace(model=net, optim_wrapper=wrapper, iter=0)
    hook = NonFiniteHook(action='skip')
    hook.before_train(runner)
    net.train_step(pseudo_collate([Numbers()[0], Numbers()[1]]), wrapper)
    assert steps == [1] and hook.count == 0


def _rank(rank, file, queue):
    """A process of two; in the second batch the last one has NaN."""
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{file}', rank=rank, world_size=2)
    net = MMDistributedDataParallel(Net(), broadcast_buffers=False)
    wrapper = OptimWrapper(torch.optim.SGD(net.parameters(), lr=.1))
    logger = SimpleNamespace(warning=lambda text: queue.put((rank, text)))
    runner = SimpleNamespace(model=net, optim_wrapper=wrapper, logger=logger)
    hook = NonFiniteHook(action='skip')
    runner.iter = 0
    hook.before_train(runner)
    data = Numbers([7] if rank else [])
    for runner.iter in range(4):
        pair = [2 * runner.iter + rank * 4, 2 * runner.iter + 1 + rank * 4]
        items = [data[i % 12] for i in pair]
        net.train_step(pseudo_collate(items), wrapper)
    state = {
        key: value.numpy().tolist()
        for key, value in net.module.state_dict().items()
    }
    queue.put((rank, (hook.count, state)))
    torch.distributed.destroy_process_group()


def test_all_ranks_leave_it_out(tmp_path):
    context = torch.multiprocessing.get_context('fork')
    queue = context.Queue()
    ranks = [
        context.Process(
            target=_rank, args=(rank, tmp_path / 'meet', queue), daemon=True)
        for rank in range(2)
    ]
    for process in ranks:
        process.start()
    found = {}
    for _ in range(4):
        rank, what = queue.get(timeout=60)
        found[rank, type(what)] = what
    for process in ranks:
        process.join(60)
    assert found[0, str] == ('iteration 2: a loss of another rank is not '
                             'finite, images n2, n3: left out')
    assert found[1, str] == ('iteration 2: loss_a is nan, images n6, n7: left '
                             'out')
    counts, states = zip(found[0, tuple], found[1, tuple])
    assert counts == (1, 1)
    for key in ('last.weight', 'norm.weight'):
        assert states[0][key] == states[1][key]
    assert np.isfinite(states[0]['last.weight']).all()
    # batch norm has seen three batches, not four
    assert [state['norm.num_batches_tracked'] for state in states] == [3, 3]


@TASK_UTILS.register_module(force=True)
class Spoiler(BaseRefiner):
    """Halves maps; one pixel of those that begin with ``first`` is spoilt."""
    needs_image = False

    def __init__(self, value, first=None):
        self.value, self.first = value, first

    def refine(self, maps, image=None):
        out = maps / 2
        # waiting maps are float16
        if self.first is None or abs(maps[0, 0, 0] - self.first) < 1e-3:
            out[0, 1, 1] = self.value
        return out


def spoiler(value, first=None):
    return dict(type='group_wsss.Spoiler', value=value, first=first)


def files_in(folder):
    return {p: p.read_bytes() for p in folder.rglob('*') if p.is_file()}


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_refiners_and_dumps(value, tmp_path):
    maps = ScoreMap('sub/a', (6, 8), [1], np.full((1, 3, 4), .5))
    writer = DumpWriter(str(tmp_path / 'out'), ['x', 'y'])
    labeler = TASK_UTILS.build(dict(type='group_wsss.ThresholdLabeler'))
    LabelDump(writer, labeler).take(maps)
    writer.finish()
    before = files_in(tmp_path)
    assert len(before) == 3
    writer.begin()
    refiners = Refiners([spoiler(value)])
    dump = LabelDump(writer, labeler, refiners, keep_scores=True)
    with pytest.raises(InputError, match='sub/a: Spoiler made NaN or inf'):
        dump.take(maps)
    sample = DataSample(metainfo=dict(img_id='sub/a', ori_shape=(6, 8)))
    sample.class_ids = torch.tensor([1])
    sample.class_maps = torch.full((1, 3, 4), value)
    with pytest.raises(InputError, match='sub/a: class maps hold NaN or inf'):
        dump.take(ScoreMap.from_sample(sample))
    assert files_in(tmp_path) == before


@pytest.fixture
def refine(tmp_path):
    """Refine score maps of five images, which begin with 0, 1/8, ..., 1/2."""
    rng = np.random.default_rng(0)
    for i in range(5):
        maps = rng.random((1, 3, 4), dtype=np.float32)
        maps[0, 0, 0] = i / 8
        ScoreMap(f's/{i}', (6, 8), [1],
                 maps).save(str(tmp_path / f'scores/s/{i}.npz'))

    def do(out, threshold, refiner, ids=None, **kwargs):
        labeler = dict(
            type='group_wsss.ThresholdLabeler', bg_threshold=threshold)
        job = RefineJob(
            str(tmp_path / 'scores'), str(tmp_path / out), ('x', 'y'), labeler,
            (refiner, ), None, False, None, **kwargs)
        return refine_dump(job, ids)

    return do


@pytest.mark.parametrize('threshold', [.2, 'otsu'])
def test_left_out_and_listed(threshold, refine, tmp_path):
    bad, good = spoiler(np.nan, 2 / 8), spoiler(np.nan, -1)
    with pytest.raises(InputError, match='made NaN'):
        refine('strict', threshold, bad)
    manifest = refine('skipping', threshold, bad, on_non_finite='skip')
    assert manifest['images'] == 4 and manifest['skipped'] == ['s/2']
    out = tmp_path / 'skipping'
    assert 's/2\ts/2: Spoiler made NaN' in (out / 'skipped.txt').read_text()
    # as if it had never been there, chosen thresholds too
    rest = [f's/{i}' for i in (0, 1, 3, 4)]
    other = refine('without', threshold, good, rest)
    assert other['chosen_thresholds'] == manifest['chosen_thresholds']
    for name in ('ids.txt', *(f'{n}.png' for n in rest)):
        path = tmp_path / 'without' / name
        assert path.read_bytes() == (out / name).read_bytes()
    assert not (out / 's/2.png').exists()
    with pytest.raises(InputError, match='those of all 5 images'):
        refine('all', threshold, spoiler(np.nan), on_non_finite='skip')
    assert not list(tmp_path.glob('all/*'))
    with pytest.raises(InputError, match="on_non_finite='drop'"):
        refine('never', threshold, good, on_non_finite='drop')


def finite_gradient(loss, *inputs):
    assert loss.isfinite().all()
    if loss.requires_grad:
        loss.sum().backward(retain_graph=True)
    for value in inputs:
        assert value.grad is None or value.grad.isfinite().all()


@pytest.mark.parametrize('logit', [0., 1e4, -1e4])
@pytest.mark.parametrize('label', [255, 0, 3])
@pytest.mark.parametrize('name, options', [
    ('BootstrappedCrossEntropy', dict()),
    ('BootstrappedCrossEntropy', dict(mode='soft')),
    ('BootstrappedCrossEntropy', dict(avg_non_ignore=False)),
    ('CollisionCrossEntropy', dict()),
    ('SoftCrossEntropy', dict()),
    ('ScoreWeightedCrossEntropy', dict()),
    ('ScoreWeightedCrossEntropy', dict(power=0)),
    ('GatedCRFLoss', dict()),
    ('GatedCRFLoss', dict(known_only=True)),
])
def test_pixel_losses(name, options, label, logit):
    """All ignored, one class alone, hopeless predictions."""
    loss = MODELS.build(dict(type=f'group_wsss.{name}', **options))
    logits = torch.full((2, 4, 8, 8), logit)
    logits[:, 1] = -logit
    logits.requires_grad_(True)
    labels = torch.full((2, 8, 8), label)
    soft = torch.zeros(2, 4, 8, 8)
    if label != 255:
        soft[:, label] = 1
    value = loss(
        logits,
        labels,
        soft_label=soft,
        image=torch.zeros(2, 3, 8, 8),
        valid=torch.zeros(2, 8, 8, dtype=torch.bool))
    finite_gradient(value, logits)
    if label == 255:
        assert value.item() == 0
        assert logits.grad is None or not logits.grad.any()


@pytest.mark.parametrize('fill', [0., -3., 1e4])
@pytest.mark.parametrize('present', [(), (0, ), (0, 1, 2)])
def test_classifier_losses(present, fill):
    """Constant maps; images without a class; classes that never occur."""
    maps = torch.full((2, 3, 4, 4), fill, requires_grad=True)
    target = torch.zeros(2, 3)
    target[:, list(present)] = 1
    feats = torch.zeros(2, 5, 4, 4)
    recam = MODELS.build(dict(type='group_wsss.ReCAMLoss'))
    finite_gradient(recam(maps, maps, target), maps)
    pair = MODELS.build(dict(type='group_wsss.EquivarianceLoss'))
    views = [(maps, feats, None),
             (maps[:, :, ::2, ::2], feats[:, :, :2, :2], None)]
    for value in pair(*views, target).values():
        finite_gradient(value, maps)
    head = MODELS.build(
        dict(type='group_wsss.GroupCAMHead', in_channels=None, num_classes=3))
    samples = [DataSample().set_gt_label(list(present)) for _ in range(2)]
    for value in head.loss(GroupMaps(maps, maps * 1), samples).values():
        finite_gradient(value, maps)
    for mode in ('avg', 'max', 'topk'):
        finite_gradient(pool_maps(maps, mode=mode), maps)


@pytest.mark.parametrize('fill', [0., 5., -5.])
@pytest.mark.parametrize('group_size', [1, 2, 4])
@pytest.mark.parametrize('options', [
    dict(),
    dict(aggregation='sum', self_edge=True),
    dict(update='residual', channels=2),
    dict(update='mix'),
])
def test_graphs(options, group_size, fill):
    """Groups of one, and images on which nothing stands out."""
    neck = MODELS.build(
        dict(
            type='group_wsss.CoAttentionGNN',
            in_channels=4,
            group_size=group_size,
            num_steps=2,
            **options))
    neck.train()
    node = torch.full((4, 4, 3, 3), fill, requires_grad=True)
    out = neck((node, ), group_size=group_size)[-1]
    assert out.shape == node.shape
    finite_gradient(out.square().mean(), node, *neck.parameters())


@pytest.mark.parametrize('fill', [0., 2., -2.])
@pytest.mark.parametrize('drop_prob', [0., 1.])
def test_graph_dropout(drop_prob, fill):
    drop = MODELS.build(
        dict(type='group_wsss.GraphDropout', drop_prob=drop_prob)).train()
    node = torch.full((2, 4, 3, 3), fill, requires_grad=True)
    finite_gradient(drop(node).sum(), node)


@pytest.mark.parametrize('fill', [0., .5, 1.])
@pytest.mark.parametrize('num', [0, 1, 3])
@pytest.mark.parametrize('shape', [(1, 1), (7, 1), (6, 9)])
@pytest.mark.parametrize('step', [
    dict(type='group_wsss.DenseCRF', num_iters=2),
    dict(type='group_wsss.DenseCRF', num_iters=1, unary='label'),
    dict(type='group_wsss.DenseCRF', num_iters=1, bg_power=4.),
    dict(type='group_wsss.PixelAdaptive', num_iters=2),
])
def test_refiners_on_constant_maps(step, shape, num, fill):
    maps = ScoreMap('a', shape, range(num), np.full((num, *shape), fill))
    image = np.full((*shape, 3), 128, np.uint8)
    refined = Refiners([dict(step)])(maps, image)
    assert np.isfinite(refined.maps).all() and len(refined.maps) == num
    for labeler in ('ThresholdLabeler', 'SaliencyLabeler'):
        label = TASK_UTILS.build(dict(type=f'group_wsss.{labeler}'))(refined)
        assert label.shape == shape
        assert set(np.unique(label)) <= {0, 1, 2, 3, 255}


def test_thresholds_without_scores():
    empty = ScoreMap('a', (4, 5), [], np.zeros((0, 2, 2)))
    assert otsu(score_histogram(empty)) == .5
    for fill in (0, .5, 1):
        flat = ScoreMap('a', (4, 5), [0], np.full((1, 2, 2), fill))
        histogram = score_histogram(flat)
        assert histogram.shape == (NUM_BINS, ) and 0 < otsu(histogram) < 1


@pytest.mark.parametrize('label, mask', [(0, 0), (255, 255), (255, 1),
                                         (2, 255), (1, 2)])
def test_metrics_without_pixels(label, mask):
    """Nothing to compare, or one class alone: NaN or a number, no error."""
    matrix = confusion_matrix(
        np.full((3, 3), label, np.uint8), np.full((3, 3), mask, np.uint8), 4)
    for unknown in ('wrong', 'ignored', 'background'):
        scores = class_scores(matrix, unknown)['iou']
        assert not np.isinf(scores).any()
        mean = mean_known(scores)
        assert np.isnan(mean) or 0 <= mean <= 1


@pytest.mark.slow
def test_nan_weights_end_in_one_line(tiny_voc, tmp_path, call_tool,
                                     monkeypatch, capsys):
    """Training says which loss, label making which image."""
    path = Path(__file__).parent / 'configs' / 'tiny_group_cam.py'
    monkeypatch.setenv('DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('TRAIN_LIST', 'ImageSets/train_cls.txt')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(Config.fromfile(path).model)
    model.init_weights()
    model.head.classifier.weight.data[:] = float('nan')
    weights = tmp_path / 'nan.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), weights)
    work = tmp_path / 'work'
    for words, expected in (
        (('test', path, weights), 'class maps hold NaN or infinity'),
        (('train', path, '--cfg-options', f'load_from={weights}'),
         'iteration 1: loss_cam is nan, images tiny_'),
    ):
        with pytest.raises(SystemExit) as caught:
            call_tool(*words, '--work-dir', work)
        assert caught.value.code == 2
        err = capsys.readouterr().err
        assert err.count('error: ') == 1 and expected in err
    assert not list(work.rglob('*.png'))
