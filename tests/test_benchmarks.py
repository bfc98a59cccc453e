# Copyright (c) group_wsss contributors. All rights reserved.
"""Every benchmark starts."""
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / 'benchmarks'


@pytest.mark.parametrize('name',
                         sorted(path.stem for path in FOLDER.glob('*.py')))
def test_start(name, monkeypatch, capsys):
    if name == 'dense_crf_reference':
        pytest.importorskip('pydensecrf')
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module(name)
    if hasattr(module, 'parse_args'):
        monkeypatch.setattr('sys.argv', [name, '--help'])
        with pytest.raises(SystemExit) as caught:
            module.parse_args()
        assert not caught.value.code and '--' in capsys.readouterr().out


def test_steps_of_the_recipe(monkeypatch):
    """What makes a row is among the steps, and each step's source is."""
    monkeypatch.syspath_prepend(str(FOLDER))
    recipe = importlib.import_module('recipe')
    for key in ('REGIONS_DIR', 'SALIENCY_DIR'):
        monkeypatch.setenv(key, key)
    names = []
    for step in recipe.label_steps('IMAGES', 0):
        for word in (*step.command, *step.env.values()):
            if word.startswith('{') and word != f'{{{step.name}}}':
                assert word.strip('{}').split('/')[0] in names, word
        names.append(step.name)
    assert len(set(names)) == len(names)
    assert {folder.split('/')[0]
            for folder in recipe.ROWS.values()} == (
                set(names) -
                {'saliency_seeds', 'saliency_affinity', 'saliency_pixels'})
