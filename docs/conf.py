# Copyright (c) group_wsss contributors. All rights reserved.
"""Settings of Sphinx; ``bash tools/build_docs.sh`` builds the pages.

Nothing of the package is imported: the API pages are made by reading its
sources, so that building needs neither torch nor the mm packages.
"""
import os
import re
import sys
from pathlib import Path
from typing import Optional

from astroid.manager import AstroidManager

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
# where files of the repository outside docs/ can be seen, such as
# https://example.org/group_wsss/blob/main; without it they are only named
REPOSITORY_URL = os.environ.get('REPOSITORY_URL', '').rstrip('/')
LINK = re.compile(r'(?<!!)\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)')

project = 'group_wsss'
author = 'group_wsss contributors'
copyright = author
version = release = re.search(
    r"__version__ = '(.+)'",
    (ROOT / 'projects/group_wsss/version.py').read_text('utf-8')).group(1)

extensions = [
    'myst_parser', 'sphinx.ext.napoleon', 'sphinx_copybutton',
    'autoapi.extension'
]
exclude_patterns = ['_build']
html_theme = 'furo'
html_title = f'group_wsss {release}'
html_show_sourcelink = False
myst_heading_anchors = 4

autoapi_dirs = ['../projects/group_wsss']
# pages in docs/api name what they show
autoapi_generate_api_docs = False
autoapi_add_toctree_entry = False
autoapi_options = ['members', 'imported-members', 'show-inheritance']
autoapi_python_class_content = 'class'
autoapi_member_order = 'groupwise'
napoleon_numpy_docstring = False
napoleon_use_rtype = False
# fields of tuples are shown once
napoleon_use_ivar = True
# plots.py gives colours their names in one line, which cannot be read so
suppress_warnings = ['autoapi.python_import_resolution']


class Foreign(set):
    """Names of modules that are not read: those of other packages.

    Where torch and the mm packages are installed, reading them to guess
    what assigned values are takes most of the time.
    """

    def __contains__(self, name: object) -> bool:
        top = str(name).partition('.')[0]
        return top != 'group_wsss' and top not in sys.stdlib_module_names


AstroidManager.brain['module_denylist'] = Foreign()


def link_outside(app, docname, source) -> None:
    """Let links to files outside docs/ point at the repository.

    Sphinx knows nothing of ``../configs/refine/README.md``; without an
    address of the repository the path is written beside the text.
    """
    folder = Path(app.env.doc2path(docname)).parent

    def replace(match: re.Match) -> str:
        text, target, anchor = match.groups()
        if '://' in target or target.startswith('mailto:'):
            return match.group()
        path = (folder / target).resolve()
        if path.is_file() and DOCS in path.parents:
            return match.group()
        if not path.exists() or ROOT not in path.parents:
            return match.group()
        name = path.relative_to(ROOT).as_posix()
        if REPOSITORY_URL:
            return f'[{text}]({REPOSITORY_URL}/{name}{anchor or ""})'
        return f'`{name}`' if name in text else f'{text} (`{name}`)'

    source[0] = LINK.sub(replace, source[0])


def skip_member(app, what, name, obj, skip, options) -> Optional[bool]:
    """Leave out what a constructor merely keeps."""
    return True if getattr(obj, 'type', None) == 'attribute' else None


def setup(app) -> dict:
    app.connect('source-read', link_outside)
    app.connect('autodoc-skip-member', skip_member)
    return dict(parallel_read_safe=True, parallel_write_safe=True)
