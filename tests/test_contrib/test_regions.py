# Copyright (c) group_wsss contributors. All rights reserved.
"""tools/make_regions.py, with superpixels and tiny networks."""
import importlib.metadata
import json
import os
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from group_wsss.contrib.regions import (SAM_KINDS, SamRegions, Superpixels,
                                        make_regions)
from group_wsss.structures.regions import (SETTINGS, read_regions,
                                           regions_supervision)
from group_wsss.utils.errors import InputError


@pytest.fixture
def photos(tmp_path):
    """Three images of two colours, one of them in a folder."""
    rng = np.random.default_rng(0)
    folder = tmp_path / 'photos'
    (folder / 'sub').mkdir(parents=True)
    for name, size in (('a', (40, 48)), ('b', (31, 57)), ('sub/c', (33, 50))):
        image = rng.integers(0, 40, (*size, 3)).astype(np.uint8)
        image[:, 20:] += 200
        Image.fromarray(image).save(folder / f'{name}.png')
    return folder


def need_skimage():
    pytest.importorskip('skimage', reason='scikit-image is not installed')


class Halves:
    """Two regions, or masks that overlap; needs no library."""

    def __init__(self, masks=False):
        self.masks = masks
        self.settings = dict(backend='halves', masks=masks, supervision='')

    def __call__(self, image):
        left = np.zeros(image.shape[:2], bool)
        left[:, :20] = True
        if self.masks:
            return [left, np.ones_like(left)]
        return (2 - left).astype(np.uint8)


@pytest.mark.parametrize('masks', [False, True])
def test_folder(masks, photos, tmp_path):
    from group_wsss.apis.images import list_images
    images = list_images(str(photos / '**'))
    out, steps = tmp_path / 'out', []
    maker = Halves(masks)

    def run(where=out):
        return make_regions(
            images,
            maker,
            str(where),
            progress=lambda done, total: steps.append((done, total)))

    suffix = '.json' if masks else '.npz'
    assert run() == 3 and steps == [(1, 3), (2, 3), (3, 3)]
    assert run(tmp_path / 'again') == 3
    for name, size in (('a', (40, 48)), ('sub/c', (33, 50))):
        one, two = ((folder / f'{name}{suffix}').read_bytes()
                    for folder in (out, tmp_path / 'again'))
        assert one == two
        areas = read_regions(str(out), name, size).areas
        rest = size[1] if masks else size[1] - 20
        assert areas.tolist() == [20 * size[0], rest * size[0]]
    # what is there stays, what is missing is made
    (out / f'b{suffix}').unlink()
    (out / f'a{suffix}').write_bytes(b'mine')
    steps.clear()
    assert run() == 1 and steps == [(3, 3)]
    assert (out / f'a{suffix}').read_bytes() == b'mine'
    assert run() == 0
    # an image that changed is another one
    source = images[0].source
    later = (out / f'a{suffix}').stat().st_mtime + 1
    os.utime(source, (later, later))
    assert run() == 1
    assert (out / f'a{suffix}').read_bytes() == (tmp_path / 'again' /
                                                 f'a{suffix}').read_bytes()
    maker.settings['backend'] = 'other'
    with pytest.raises(InputError, match=f'{SETTINGS}: these regions'):
        run()


@pytest.mark.parametrize('backend', ['slic', 'felzenszwalb'])
def test_superpixels(backend, photos, tmp_path, call_tool, capsys):
    need_skimage()
    out = tmp_path / 'out'
    call_tool('make_regions', photos, '--out', out, '--backend', backend,
              '--size', 60)
    assert 'regions of 3 images' in capsys.readouterr().out
    assert regions_supervision(str(out)) == ''
    for name, size in (('a', (40, 48)), ('sub/c', (33, 50))):
        regions = read_regions(str(out), name, size)
        # all pixels, each once; several regions, hardly one on both sides
        assert sorted(regions.pixels) == list(range(size[0] * size[1]))
        assert len(regions.areas) >= 4
        left = regions.pixels % size[1] < 20
        wrong = sum(
            min(side.sum(),
                len(side) - side.sum())
            for side in (left[regions.numbers == number]
                         for number in range(len(regions.areas))))
        assert wrong < .03 * len(left)


@pytest.mark.slow
def test_processes_change_no_byte(photos, tmp_path, call_tool):
    need_skimage()
    for nproc in (1, 2):
        call_tool('make_regions', photos, '--out', tmp_path / f'{nproc}',
                  '--backend', 'slic', '--size', 60, '--nproc', nproc)
    for name in ('a.npz', 'b.npz', 'sub/c.npz', SETTINGS):
        one, two = ((tmp_path / f'{nproc}' / name).read_bytes()
                    for nproc in (1, 2))
        assert one == two


@pytest.mark.parametrize('backend', ['slic', 'felzenszwalb'])
def test_more_pixels_make_fewer_superpixels(backend, photos):
    need_skimage()
    image = np.asarray(Image.open(photos / 'a.png'))
    counts = [
        Superpixels(backend, size)(image).max() for size in (1, 30, 300, 10**6)
    ]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[2]


def tiny(kind, folder):
    """A network of some thousand random weights, as transformers saves it."""
    import transformers as t
    torch.manual_seed(0)
    side, patch = (56, 14) if kind == 'sam3' else (64, 16)
    square = dict(height=side, width=side)
    trunk = dict(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=side,
        patch_size=patch,
        window_size=2,
        global_attn_indexes=[0])
    maps = dict(
        fpn_hidden_size=16, backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]])
    vision = dict(
        sam=dict(trunk, output_channels=16, mlp_dim=16, num_pos_feats=8),
        sam2=dict(
            maps,
            model_type='sam2_vision_model',
            backbone_config=dict(
                model_type='sam2_hiera_det_model',
                hidden_size=8,
                num_attention_heads=1,
                blocks_per_stage=[1, 1, 2, 1],
                embed_dim_per_stage=[8, 16, 32, 64],
                num_attention_heads_per_stage=[1, 1, 2, 2],
                window_size_per_stage=[8, 4, 4, 2],
                global_attention_blocks=[3],
                image_size=[side, side],
                window_positional_embedding_background_size=[4, 4]),
            backbone_channel_list=[64, 32, 16, 8]),
        sam3=dict(
            maps,
            model_type='sam3_vision_model',
            backbone_config=dict(
                trunk,
                model_type='sam3_vit_model',
                intermediate_size=16,
                pretrain_image_size=side)))
    config = dict(sam='SamConfig', sam2='Sam2Config', sam3='Sam3TrackerConfig')
    model, feed = (getattr(t, name) for name in SAM_KINDS[kind])
    sizes = dict(size=square)
    if kind == 'sam':
        sizes = dict(size=dict(longest_edge=side), pad_size=square)
    feed = feed(**sizes)
    model = model(
        getattr(t, config[kind])(
            vision_config=vision[kind],
            prompt_encoder_config=dict(
                hidden_size=16,
                image_size=side,
                patch_size=patch,
                mask_input_channels=4),
            mask_decoder_config=dict(
                hidden_size=16,
                mlp_dim=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                iou_head_hidden_dim=16,
                iou_head_depth=2)))
    model.save_pretrained(folder)
    feed.save_pretrained(folder)
    return model.eval(), feed


@pytest.fixture(scope='module', params=['sam', 'sam2', 'sam3'])
def network(request, tmp_path_factory):
    # beside this version of transformers mmpretrain cannot be imported, so
    # it is in no requirement; docs/regions.md says how both live
    transformers = pytest.importorskip(
        'transformers', reason='transformers is not installed')
    if not hasattr(transformers, 'Sam3TrackerModel'):
        pytest.skip('transformers is older than Segment Anything 3')
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, str(folder), tiny(request.param, folder)


@torch.no_grad()
def test_masks_are_those_of_the_model(network, photos):
    """Every mask is one that the model gives for one of the points."""
    kind, folder, (model, feed) = network
    image = np.asarray(Image.open(photos / 'a.png'))
    maker = SamRegions(kind, folder, 3, quality=-1e9, stability=0.)
    found = maker(image)
    assert found and all(mask.shape == (40, 48) and mask.dtype == bool
                         for mask in found)
    assert maker.settings['supervision'] == 'A'
    inputs = feed(image, return_tensors='pt')
    # (image, point, 1, xy) in pixels of what the network sees
    if kind == 'sam':
        height, width = inputs['reshaped_input_sizes'][0].tolist()
    else:
        height = width = feed.size['height']
    wanted = []
    for y in (1 / 6, 3 / 6, 5 / 6):
        for x in (1 / 6, 3 / 6, 5 / 6):
            point = torch.tensor([[[[x * width, y * height]]]])
            out = model(
                pixel_values=inputs['pixel_values'],
                input_points=point.float(),
                input_labels=torch.ones(1, 1, 1, dtype=torch.long))
            extra = dict(reshaped_input_sizes=inputs['reshaped_input_sizes']
                         ) if kind == 'sam' else {}
            masks = feed.post_process_masks(out.pred_masks,
                                            inputs['original_sizes'],
                                            **extra)[0]
            wanted += list(masks[0].bool().numpy())
    for mask in found:
        assert max((mask == other).mean() for other in wanted) > .999
    if kind == 'sam':  # for the others, the pipeline's grid is wrong
        import transformers
        pipe = transformers.pipeline(
            'mask-generation', model=model, image_processor=feed)
        same = pipe(
            Image.fromarray(image),
            points_per_crop=3,
            pred_iou_thresh=-1e9,
            stability_score_thresh=0)['masks']
        np.testing.assert_array_equal(np.stack(same), np.stack(found))
    # nothing is good enough: an image without a region
    assert SamRegions(kind, folder, 3, quality=1e9)(image) == []


def test_sam_tool(network, photos, tmp_path, call_tool, capsys):
    kind, folder, _ = network
    out = tmp_path / 'out'
    words = (photos, '--out', out, '--backend', kind, '--points', 2)
    call_tool('make_regions', *words, '--model', folder)
    assert 'regions of 3 images' in capsys.readouterr().out
    settings = json.loads((out / SETTINGS).read_text())
    assert settings['backend'] == kind and len(settings['sha256']) == 64
    assert regions_supervision(str(out)) == 'A'
    read_regions(str(out), 'sub/c', (33, 50))  # any number
    (tmp_path / 'foreign').mkdir()
    (tmp_path / 'foreign' / 'model.safetensors').write_bytes(b'nothing')
    with pytest.raises(SystemExit) as leaving:
        call_tool('make_regions', *words, '--model', tmp_path / 'foreign')
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert leaving.value.code == 2
    assert 'foreign: transformers' in line and f'as {kind}: ' in line


@pytest.mark.parametrize('case, more, words', [
    ('folder', [], ['photos/none', 'no such folder']),
    ('image', [], ["image 'a'", 'a.png']),
    ('foreign', [], ['out', 'not empty', '--out']),
    ('inside', ['--out', 'photos/maps'], ['photos/maps', 'among the images']),
    ('', ['--size', 0], ['--size 0', 'positive']),
    ('skimage', [], ['scikit-image is not installed', '.[regions]']),
    ('', ['--backend', 'sam', '--model', '.'
          ], ['model.safetensors', 'no such file', 'transformers']),
    ('transformers', ['--backend', 'sam', '--model', '.'
                      ], ['transformers is not installed', 'pip install']),
])
def test_bad_input_is_one_line(case, more, words, photos, tmp_path, call_tool,
                               capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if case == 'skimage':
        monkeypatch.setitem(sys.modules, 'skimage', None)
    elif case == 'image':
        (photos / 'a.png').write_bytes(b'')
    elif case == 'foreign':
        (tmp_path / 'out').mkdir()
        (tmp_path / 'out' / 'mine.png').touch()
    elif case == 'transformers':
        (tmp_path / 'model.safetensors').touch()

        def version(name):
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(importlib.metadata, 'version', version)
    if case in ('folder', 'image', 'foreign', 'inside'):
        need_skimage()
    with pytest.raises(SystemExit) as leaving:
        call_tool('make_regions',
                  'photos/none' if case == 'folder' else 'photos', '--out',
                  'out', '--backend', 'slic', *more)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert leaving.value.code == 2 and line.startswith('error: ')
    assert all(str(word) in line for word in words), line
