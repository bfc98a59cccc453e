# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

from group_wsss.models import AffinityHead
from group_wsss.pseudo_labels.refiners.random_walk import (RandomWalk,
                                                           random_walk)
from group_wsss.registry import MODELS, TASK_UTILS
from group_wsss.structures import ScoreMap
from group_wsss.utils.errors import InputError
from group_wsss.utils.pairs import pair_offsets

CFG = dict(
    default_scope='mmseg',
    model=dict(
        type='group_wsss.AffinityNet',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            mean=[100., 110., 120.],
            std=[50., 55., 60.],
            bgr_to_rgb=True,
            size_divisor=1),
        backbone=dict(
            type='mmpretrain.ResNet',
            depth=18,
            stem_channels=8,
            base_channels=8,
            out_indices=(0, 1)),
        head=dict(
            type='group_wsss.AffinityHead',
            in_channels=(8, 16),
            in_index=(0, 1),
            channels=16)))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Config and checkpoint of a net that has seen nothing."""
    folder = tmp_path_factory.mktemp('affinity')
    torch.manual_seed(0)
    net = MODELS.build(CFG['model'] | dict(_scope_='mmseg'))
    Config(CFG).dump(folder / 'config.py')
    torch.save(
        dict(meta={}, state_dict=net.state_dict()), folder / 'iter_1.pth')
    return str(folder / 'config.py'), str(folder / 'iter_1.pth')


def noise(height=40, width=56):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def maps(count=2, height=5, width=7):
    rng = np.random.default_rng(1)
    return rng.random((count, height, width)).astype(np.float32)


@pytest.mark.parametrize('options, background', [
    (dict(bg_threshold=0.3, power=1), lambda s: np.full_like(s[0], 0.3)),
    (dict(bg_threshold=0.3), lambda s: np.full_like(s[0], 0.3)),
    (dict(bg_power=4.), lambda s: (1 - s.max(0))**4),
])
def test_is_its_parts(trained, options, background):
    walk = TASK_UTILS.build(
        dict(
            type='group_wsss.RandomWalk',
            config=trained[0],
            checkpoint=trained[1],
            beta=3,
            num_steps=6,
            radius=3,
            device='cpu',
            **options))
    pixels = torch.from_numpy(noise()).permute(2, 0, 1).float()
    mean = torch.tensor([100., 110., 120.])[:, None, None]
    std = torch.tensor([50., 55., 60.])[:, None, None]
    with torch.no_grad():
        embedding = walk.net(((pixels - mean) / std)[None])[0]
    torch.testing.assert_close(walk.embed(noise()), embedding)
    size = embedding.shape[-2:]
    scores = F.interpolate(
        torch.from_numpy(maps())[None], size=size, mode='bilinear')[0].numpy()
    probs = np.concatenate([background(scores)[None], scores])
    probs = (probs / probs.sum(0))**options.get('power', 4)
    walked = random_walk(
        torch.from_numpy(probs / probs.sum(0)), embedding,
        AffinityHead.log_affinity, pair_offsets(3), 3, 6).numpy()
    got = walk.refine(maps(), noise())
    want = walked[1:] / (walked[1:].max(0) + walked[:1])
    np.testing.assert_allclose(got, want, atol=2e-5)
    assert got.dtype == np.float32 and np.ptp(got) > 0.01


def test_as_a_step(trained):
    walk = RandomWalk(*trained, device='cpu')
    assert walk.num_steps == 64 and walk.beta == 8
    assert walk.offsets == pair_offsets(5)
    score_map = ScoreMap('x', (40, 56), [3, 8], maps())
    out = walk(score_map, noise())
    assert out.maps.shape == (2, 10, 14) and out.class_ids.tolist() == [3, 8]
    again = RandomWalk(Config.fromfile(trained[0]), trained[1], device='cpu')
    assert np.array_equal(again(score_map, noise()).maps, out.maps)


@pytest.mark.parametrize('value', [0., 1., 0.5])
@pytest.mark.parametrize('size', [(1, 1), (1, 33), (17, 5)])
@pytest.mark.parametrize('bg_power', [None, 4.])
def test_edge_cases(trained, value, size, bg_power):
    walk = RandomWalk(
        *trained, bg_threshold=0.5, bg_power=bg_power, power=2, device='cpu')
    scores = np.full((1, 3, 3), value, np.float32)
    out = walk.refine(scores, np.full((*size, 3), 255, np.uint8))
    background = 0.5 if bg_power is None else (1 - value)**4
    want = value**2 / (value**2 + background**2)
    np.testing.assert_allclose(out, want, atol=1e-6)


def test_large_images_are_made_smaller(trained):
    walk = RandomWalk(*trained, max_pixels=40 * 56, device='cpu')
    image = noise()
    large = image.repeat(3, 0).repeat(3, 1)
    same = walk.embed(image)
    torch.testing.assert_close(walk.embed(large), same)
    assert RandomWalk(
        *trained, device='cpu').embed(large).shape[1:] == (30, 42)


def test_bounded_memory(trained):
    tight = RandomWalk(*trained, max_bytes=100, device='cpu')
    with pytest.raises(InputError, match='max_bytes=100 '):
        tight.refine(maps(), noise())


def test_another_model(trained):
    other = Config.fromfile(trained[0])
    other.default_scope = 'mmpretrain'
    other.model = dict(
        type='mmpretrain.ImageClassifier', backbone=other.model.backbone)
    with pytest.raises(InputError, match='ImageClassifier, not an Affinity'):
        RandomWalk(other, trained[1])
