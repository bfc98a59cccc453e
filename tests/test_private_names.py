# Copyright (c) group_wsss contributors. All rights reserved.
"""Private names of other packages stand in one place."""
import ast
from pathlib import Path

from group_wsss.contrib.reliability import private

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'projects' / 'group_wsss'
# what a checkpoint may name, its reader and who fills a model: a file format
FORMATS = {
    'utils/checkpoint.py', 'utils/unpickler.py', 'utils/weights.py',
    'contrib/converters/plain_pickle.py'
}
# public all the same
PUBLIC = {'_replace', '_exit', '_asdict', '_fields'}
# attributes of this package that another file of it reads
OWN = {'_build', '_maps', '_source'}
# where a private name may stand besides contrib/reliability
ELSEWHERE = {
    'engine/class_names.py': {'_test_loop', '_train_loop', '_val_loop'},
    'models/backbones/feature_cache.py': {'_version'},
    'contrib/deployment/onnx_export.py': {
        '_channel_conversion', '_enable_normalize', '_get_const',
        '_get_tensor_rank', '_maybe_get_const'
    },
}


def is_private(name):
    return name.startswith('_') and not name.endswith('__') and name != '_'


def foreign_names(path):
    """Private names that a file takes from objects other than its own."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Attribute):
            base = node.value
            mine = isinstance(base, ast.Name) and base.id in ('self', 'cls')
            mine = mine or isinstance(base, ast.Call)  # super()
            names = [] if mine else [node.attr]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and len(node.args) > 1:
            name, constant = node.func, node.args[1]
            if (isinstance(name, ast.Name)
                    and name.id in ('getattr', 'hasattr')
                    and isinstance(constant, ast.Constant)):
                names = [constant.value]
        for name in names:
            if is_private(name) or name == 'f_locals':
                if name not in PUBLIC:
                    yield name, node.lineno


def test_private_names_only_where_they_are_listed():
    paths = sorted(PACKAGE.rglob('*.py')) + sorted(ROOT.glob('tools/**/*.py'))
    found, listed = {}, {'_save_checkpoint_with_step'}
    for path in paths:
        place = path.relative_to(ROOT).as_posix().split('group_wsss/')[-1]
        if '.mim' in path.parts or place in FORMATS:
            continue
        for name, line in foreign_names(path):
            if name in OWN:
                continue
            if ('contrib/reliability' in place
                    or name in ELSEWHERE.get(place, ())):
                listed.add(name)
            else:
                found[f'{place}:{line}'] = name
    assert not found
    table = {
        row.split('``')[1]
        for row in private.__doc__.splitlines() if row.startswith('| ``')
    }
    assert table == listed
