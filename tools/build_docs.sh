#!/usr/bin/env bash
# Copyright (c) group_wsss contributors. All rights reserved.
# Build the pages in docs/, warnings are errors:
#   bash tools/build_docs.sh [OUT] [arguments of sphinx-build]
# OUT is docs/_build/html unless given. Needs `pip install -r
# requirements/docs.txt`, and neither torch nor the mm packages. With
# REPOSITORY_URL links to files outside docs/ point there.
set -e
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
out="${1:-$root/docs/_build/html}"

if ! python -c 'import autoapi, furo, myst_parser, sphinx_copybutton' \
    2>/dev/null; then
    echo "error: pip install -r $root/requirements/docs.txt" >&2
    exit 2
fi
python -m sphinx -W --keep-going -b html "${@:2}" "$root/docs" "$out"
echo "$out/index.html"
