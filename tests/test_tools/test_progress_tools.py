# Copyright (c) group_wsss contributors. All rights reserved.
"""Every tool that goes through images says how far it is."""
import json
from pathlib import Path

import pytest

from .conftest import make_dump

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
# more than any tool takes at a time
COUNT = 40
# arguments, with the folder for results behind them, and the steps
HERE = {
    'result_card': (('dump', '--masks', 'masks', '--out'), COUNT),
    'leave_out': (('dump', 'ids.txt', '-o'), COUNT),
    'import_masks': (('masks', '--format', 'png', '--image-list', 'tags.json',
                      '--out'), COUNT),
    'dataset_converters/toy': (('--num-train', 3, '--num-val', 2, '--size', 32,
                                '-o'), 5),
}  # yapf: disable
# the tests of these tools look at it
ELSEWHERE = {
    'analyze_labels', 'browse_groups', 'demo', 'eval_labels', 'export_labels',
    'make_prototypes', 'make_regions', 'make_saliency', 'predict',
    'refine_labels', 'report', 'dataset_converters/coco',
    'dataset_converters/from_voc_xml', 'dataset_converters/voc12_aug',
    'deployment/export_onnx'
}
# why these need no report of their own
OTHERS = dict(
    train="mmengine's log, EpochSummaryHook",
    test="mmengine's log",
    text_features='no images',
    make_labels='runs other tools, by misc/stages.py',
    quickstart='runs other tools, by misc/stages.py',
    **{f'misc/{name}': 'reads one file, or is no tool'
       for name in ('compact_weights', 'print_config', 'quickstart_sheet',
                    'stage_facts', 'stage_progress', 'stages')},
    **{f'dataset_converters/from_{name}': 'opens one file at most'
       for name in ('coco', 'csv', 'cvat', 'folders', 'label_studio', 'npy')}
)  # yapf: disable


@pytest.mark.parametrize('name', HERE)
def test_tool(name, call_tool, tmp_path, monkeypatch, capsys):
    make_dump(tmp_path, COUNT)
    (tmp_path / 'ids.txt').write_text('3\n')
    images = [dict(id=f'{i}', labels=[0]) for i in range(COUNT)]
    (tmp_path / 'tags.json').write_text(
        json.dumps(dict(classes=['cat', 'dog'], images=images)))
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    monkeypatch.chdir(tmp_path)
    arguments, steps = HERE[name]
    call_tool(name, *arguments, 'out')
    lines = [
        line.split(': ')[-1].split(',')[0]
        for line in capsys.readouterr().err.splitlines() if ' left' in line
    ]
    # more than one, up to the end
    assert len(lines) > 1 and lines[-1] == f'{steps}/{steps}'


def test_no_tool_is_forgotten():
    tools = {
        str(path.relative_to(TOOLS).with_suffix('')): path.read_text()
        for path in TOOLS.rglob('*.py')
    }
    assert set(tools) == {*HERE, *ELSEWHERE, *OTHERS}
    for name in ELSEWHERE - {'demo', 'predict'} - {
            'dataset_converters/from_voc_xml'}:  # yapf: disable
        assert 'Progress(' in tools[name], name
