# Copyright (c) group_wsss contributors. All rights reserved.
# Sourced by the other scripts: makes the environment and activates it.
#   . tools/env.sh
#   GROUP_WSSS_STACK=openmmlab . tools/env.sh
# An active virtual environment is used as it is; otherwise .venv in the
# checkout (.venv-openmmlab for the stock packages), created when it is not
# there. The pinned requirements are installed once; a stamp inside the
# environment holds the stack and their hash, and is completed last, so that
# an interrupted install is repaired by the next run.

_gw_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

_gw_say() {
    printf '[env] %s\n' "$*" >&2
}

_gw_find_python() {
    # the first Python for a stack ($1)
    # a shim of pyenv may be on the path and not run: try, do not look
    local name
    for name in python3.11 python3 python3.12 python3.13 python3.10; do
        if "$name" -c 'import venv, ensurepip' >/dev/null 2>&1 &&
            _gw_fits "$name" "$1"; then
            echo "$name"
            return 0
        fi
    done
    return 1
}

_gw_fits() {
    # whether a Python ($1) is one for a stack ($2); torch 2.1 ends at 3.11
    local first_refused=4,0
    [ "$2" = openmmlab ] && first_refused=3,12
    "$1" -c "import sys
sys.exit(not (3, 10) <= sys.version_info[:2] < ($first_refused))" \
        >/dev/null 2>&1
}

_gw_hash() {
    # requirement files and this Python
    python - "$_gw_root" <<'PY'
import hashlib
import pathlib
import sys
root = pathlib.Path(sys.argv[1])
digest = hashlib.sha256(sys.version.encode())
for path in sorted(root.glob('requirements/**/*.txt')) + [root / 'setup.py']:
    name = str(path.relative_to(root))
    digest.update(name.encode() + b'\0' + path.read_bytes())
digest.update(str(root).encode())
print(digest.hexdigest())
PY
}

_gw_find_family() {
    # installed distributions of a stack, which the other would overwrite
    python - "$1" <<'PY'
import sys
from importlib import metadata
names = {
    'openmmlab': ('mmengine', 'mmengine-lite', 'mmcv', 'mmcv-lite',
                  'mmsegmentation', 'mmpretrain'),
    'default': ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation',
                'onedl-mmpretrain')
}[sys.argv[1]]
found = []
for name in names:
    try:
        found.append(name + ' ' + metadata.version(name))
    except metadata.PackageNotFoundError:
        continue
print(', '.join(found))
PY
}

_gw_find_other() {
    # another checkout whose environment this is
    python - "$_gw_root" <<'PY'
import json
import pathlib
import sys
import urllib.parse
from importlib import metadata
try:
    text = metadata.distribution('group_wsss').read_text('direct_url.json')
    place = urllib.parse.urlparse(json.loads(text or '{}').get('url', ''))
except metadata.PackageNotFoundError:
    sys.exit()
other = pathlib.Path(urllib.parse.unquote(place.path))
here = pathlib.Path(sys.argv[1]).resolve()
if place.scheme == 'file' and (other / 'tools/env.sh').is_file():
    if other.resolve() != here:
        print(other)
PY
}

_gw_keep() {
    # an environment that somebody else made: add what is missing
    _gw_say "keeping $1; installing what is missing, without pins"
    python -m pip --disable-pip-version-check install \
        --no-build-isolation -e "$_gw_root[demo,optional,tests]" >&2
}

_gw_install() {
    local pip="python -m pip --disable-pip-version-check install"
    local files="$_gw_root/requirements" step=0 name path
    local -a pins=()
    if [ "$1" = openmmlab ]; then
        # nothing that comes later may bring NumPy 2
        pins=(-c "$files/openmmlab/torch.txt"
            -c "$files/openmmlab/runtime.txt")
        _gw_say 'mmcv is compiled if pip finds no wheel of it: about 8' \
            'minutes on two cores'
    fi
    # torch first: the mm packages are chosen for the torch that is there
    for name in torch mminstall runtime demo optional regions onnx tests docs; do
        step=$((step + 1))
        path="requirements/$name.txt"
        [ "$1" = openmmlab ] && [ -f "$files/openmmlab/$name.txt" ] &&
            path="requirements/openmmlab/$name.txt"
        _gw_say "step $step of 10: $path"
        if [ "$1" = openmmlab ] && [ "$name" = mminstall ]; then
            MMCV_WITH_OPS=1 $pip --no-build-isolation "${pins[@]}" \
                -r "$_gw_root/$path" >&2 || return
        else
            $pip "${pins[@]}" -r "$_gw_root/$path" >&2 || return
        fi
    done
    _gw_say 'step 10 of 10: group_wsss itself'
    $pip --no-deps --no-build-isolation -e "$_gw_root" >&2
}

_gw_activate() {
    # the environment for a stack ($1), made if there is none
    local folder="$_gw_root/.venv" wanted='Python 3.10 or later' base
    if [ "$1" = openmmlab ]; then
        folder="$_gw_root/.venv-openmmlab"
        wanted='Python 3.10 or 3.11'
    fi
    if [ -z "${VIRTUAL_ENV:-}" ]; then
        if [ ! -x "$folder/bin/python" ] ||
            ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
            if ! base="$(_gw_find_python "$1")"; then
                _gw_say "error: $wanted with venv is needed"
                return 2
            fi
            _gw_say "creating ${folder##*/} with $("$base" --version 2>&1)"
            "$base" -m venv --clear "$folder" || return 2
        fi
        . "$folder/bin/activate" || return 2
    fi
    if ! _gw_fits python "$1"; then
        _gw_say "error: $VIRTUAL_ENV has $(python --version 2>&1)," \
            "$wanted is needed"
        return 2
    fi
}

_gw_setup() {
    local stack="${GROUP_WSSS_STACK:-}" stamp want found other
    case "$stack" in
        '' | default | openmmlab) ;;
        *)
            _gw_say "error: the stack is default or openmmlab, not $stack"
            return 2
            ;;
    esac
    if [ -z "${VIRTUAL_ENV:-}" ] && [ -n "${CONDA_PREFIX:-}" ] &&
        [ "${CONDA_DEFAULT_ENV:-base}" != base ]; then
        VIRTUAL_ENV="$CONDA_PREFIX"
    fi
    if [ -n "${VIRTUAL_ENV:-}" ] && [ -z "$stack" ] &&
        grep -qs '^openmmlab ' "$VIRTUAL_ENV/.group_wsss_requirements"; then
        stack=openmmlab
    fi
    _gw_activate "${stack:-default}" || return

    export PYTHONPATH="$_gw_root/projects${PYTHONPATH:+:$PYTHONPATH}"
    stamp="$VIRTUAL_ENV/.group_wsss_requirements"
    want="${stack:-default} $(_gw_hash)" || return 2
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
        return 0
    fi
    if [ "$stack" = openmmlab ]; then
        found="$(_gw_find_family default)"
    else
        found="$(_gw_find_family openmmlab)"
    fi
    if [ -n "$stack" ] && [ -n "$found" ]; then
        _gw_say "error: $VIRTUAL_ENV has $found, which $stack packages" \
            'would overwrite: deactivate it, or use another one'
        return 2
    fi
    other="$(_gw_find_other)"
    if [ -n "$other" ]; then
        _gw_say "$VIRTUAL_ENV was that of $other," \
            "and is set up for $_gw_root now"
    fi
    rm -f "$stamp"
    if [ -n "$found" ]; then
        _gw_keep "$found"
    else
        echo "${stack:-default} unfinished" >"$stamp"
        _gw_install "${stack:-default}"
    fi || {
        _gw_say 'error: the installation failed (see above); run the same' \
            'command again to go on'
        return 2
    }
    if ! python -c 'import group_wsss' >&2; then
        _gw_say 'error: the installed packages do not fit together'
        return 2
    fi
    echo "$want" >"$stamp"
    _gw_say "ready: $VIRTUAL_ENV"
}

_gw_setup
