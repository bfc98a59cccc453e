# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.pseudo_labels import BaseRefiner, Refiners
from group_wsss.pseudo_labels.refiners import add_background, remove_background
from group_wsss.registry import TASK_UTILS
from group_wsss.structures import ScoreMap
from group_wsss.utils.errors import InputError


class Halve(BaseRefiner):
    needs_image = False

    def refine(self, maps, image=None):
        return maps / 2


class Redden(BaseRefiner):

    def refine(self, maps, image=None):
        return np.minimum(maps, image[None, :, :, 0] / np.float32(255))


@pytest.fixture
def score_map():
    rng = np.random.default_rng(0)
    maps = rng.random((2, 4, 6), dtype=np.float32)
    return ScoreMap('a/b', (4, 6), [3, 9], maps)


def test_steps_run_in_order(score_map):
    image = np.full((4, 6, 3), 51, np.uint8)
    halve, redden = Halve(), Redden()
    got = Refiners([halve, redden])(score_map, image)
    np.testing.assert_array_equal(
        got.maps, np.minimum(score_map.maps / 2, np.float32(.2)))
    other = Refiners([redden, halve])(score_map, image)
    np.testing.assert_array_equal(
        other.maps,
        np.minimum(score_map.maps, np.float32(.2)) / 2)
    assert got.img_id == 'a/b' and got.class_ids.tolist() == [3, 9]


def test_built_from_a_config(score_map):
    TASK_UTILS.register_module(name='HalveOfTheTests', module=Halve)
    try:
        steps = Refiners([dict(type='group_wsss.HalveOfTheTests')]).steps
    finally:
        TASK_UTILS.module_dict.pop('HalveOfTheTests')
    assert isinstance(steps[0], Halve)


def test_the_image_is_loaded_once_and_only_if_read(score_map):
    calls = []

    def load():
        calls.append(1)
        return np.zeros((4, 6, 3), np.uint8)

    assert Refiners()(score_map, load) is score_map
    Refiners([Halve()])(score_map, load)
    assert not calls and not Refiners([Halve()]).needs_image
    Refiners([Redden(), Halve(), Redden()])(score_map, load)
    assert len(calls) == 1


@pytest.mark.parametrize('image, word', [
    (None, 'needs the image'),
    (np.zeros((4, 5, 3), np.uint8), '4, 5, 3'),
    (np.zeros((4, 6), np.uint8), '4, 6'),
    (np.zeros((4, 6, 3), np.float32), 'float32'),
])
def test_what_is_not_the_image(score_map, image, word):
    with pytest.raises(InputError, match='a/b: .*image') as caught:
        Redden()(score_map, image)
    assert word in str(caught.value)


def test_without_a_class():
    empty = ScoreMap('x', (4, 6), [], np.zeros((0, 2, 3)))
    assert Redden()(empty, np.zeros((4, 6, 3), np.uint8)) is empty


def test_background_there_and_back():
    maps = np.random.default_rng(1).random((3, 5, 4), dtype=np.float32)
    probs = add_background(maps, .3)
    for y in range(5):
        for x in range(4):
            scores = [.3, *maps[:, y, x]]
            np.testing.assert_allclose(
                probs[:, y, x], np.array(scores) / sum(scores), rtol=1e-6)
    scores = remove_background(probs)
    np.testing.assert_allclose(
        scores, maps / (maps.max(0) + np.float32(.3)), rtol=1e-6)
    # above 0.5: the class wins against background; the order stays
    np.testing.assert_array_equal(
        scores.max(0) > .5,
        maps.max(0) > np.float32(.3))
    np.testing.assert_array_equal(scores.argmax(0), maps.argmax(0))


def test_background_by_power():
    maps = np.array([[[0, 1, .5]], [[0, .2, .75]]], np.float32)
    probs = add_background(maps, bg_power=2)
    expected = np.array([[1, 0, .0625], [0, 1, .5], [0, .2, .75]])
    np.testing.assert_allclose(probs[:, 0], expected / expected.sum(0))
    assert (remove_background(np.zeros((3, 2, 2), np.float32)) == 0).all()


def test_classes_keep_their_order_without_background():
    probs = np.array([[[1e-9]], [[.4]], [[.6]]], np.float32)
    scores = remove_background(probs)
    assert scores[0, 0, 0] < scores[1, 0, 0]
