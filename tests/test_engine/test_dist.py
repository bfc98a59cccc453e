# Copyright (c) group_wsss contributors. All rights reserved.
"""Several processes write and merge what one does."""
import json
import pickle

import pytest

pytestmark = pytest.mark.slow

WORLDS = (1, 2, 4)


@pytest.fixture(scope='module')
def base(tmp_path_factory, run_worker):
    """Folders of runs with one, two and four processes."""
    base = tmp_path_factory.mktemp('dist')
    for world in WORLDS:
        (base / str(world)).mkdir()
    run_worker('dist_worker.py', base, *WORLDS)
    return base


@pytest.mark.parametrize('world', WORLDS[1:])
def test_dumps_are_byte_identical(base, world):
    """A repeated image counts once, in the threshold too."""
    dumps = []
    for root in (base / '1', base / str(world)):
        folder = root / 'work/pseudo_labels'
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob('*') if path.is_file()
        }
        manifest = json.loads(files.pop('manifest.json'))
        dumps.append(
            (files, *(manifest[key]
                      for key in ('images', 'pixels', 'unknown_pixels',
                                  'chosen_thresholds'))))
    assert dumps[0] == dumps[1]
    one = (base / '1' / 'histogram0').read_bytes()
    for rank in range(world):
        assert (base / str(world) / f'histogram{rank}').read_bytes() == one
    # labels, maps, ids.txt
    assert len(dumps[0][0]) == 11 and dumps[0][1] == 5
    assert len(dumps[0][-1]) == 1


@pytest.mark.parametrize('world', WORLDS[1:])
def test_accumulation_is_the_maximum_over_ranks(base, world, toy):
    root = base / str(world)
    # an epoch of a rank has so many steps, in batches of 2; maps count from
    # epoch 1 on, weak ones in the last of the three epochs
    steps = -(-(-(-5 // world)) // 2)
    ranks = [
        pickle.loads((root / f'seen{rank}.pkl').read_bytes())
        for rank in range(world)
    ]
    seen = [[item for item in rank if item[0] >= steps] for rank in ranks]
    assert all(seen)
    expected = toy.offline(
        sum(seen, []), group_size=2, last=range(2 * steps, 3 * steps))
    toy.assert_maximum(root / 'work/attention/merged', expected)
    folder = root / 'work/pseudo_labels_accumulated'
    count = len({img_id for img_id, _ in expected})
    assert len(list(folder.rglob('*.png'))) == count
    manifest = json.loads((folder / 'manifest.json').read_text())
    assert manifest['images'] == count
