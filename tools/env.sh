# Copyright (c) group_wsss contributors. All rights reserved.
# Sourced by the other scripts: makes the environment and activates it.
#   . tools/env.sh
# An active virtual environment is used as it is; otherwise .venv in the
# checkout, created when it is not there. The pinned requirements are
# installed once; a stamp inside the environment holds their hash, and is
# written last, so that an interrupted install is repaired by the next run.

_gw_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

_gw_say() {
    printf '[env] %s\n' "$*" >&2
}

_gw_find_python() {
    # a shim of pyenv may be on the path and not run: try, do not look
    local name
    for name in python3.11 python3 python3.12 python3.13 python3.10; do
        if "$name" -c 'import sys, venv, ensurepip
sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then
            echo "$name"
            return 0
        fi
    done
    return 1
}

_gw_hash() {
    # requirement files, in the order of installation, and this Python
    python - "$_gw_root" <<'PY'
import hashlib
import pathlib
import sys
root = pathlib.Path(sys.argv[1])
digest = hashlib.sha256(sys.version.encode())
for path in sorted(root.glob('requirements/*.txt')) + [root / 'setup.py']:
    digest.update(path.name.encode() + b'\0' + path.read_bytes())
digest.update(str(root).encode())
print(digest.hexdigest())
PY
}

_gw_has_stock() {
    # the stock OpenMMLab distributions, which the pinned ones would overwrite
    python - <<'PY'
import sys
from importlib import metadata
found = []
for name in ('mmengine', 'mmengine-lite', 'mmcv', 'mmcv-lite',
             'mmsegmentation', 'mmpretrain'):
    try:
        found.append(name + ' ' + metadata.version(name))
    except metadata.PackageNotFoundError:
        continue
print(', '.join(found))
sys.exit(not found)
PY
}

_gw_install() {
    local pip="python -m pip --disable-pip-version-check install"
    local step=0 name stock
    if stock="$(_gw_has_stock)"; then
        _gw_say "keeping $stock; installing what is missing, without pins"
        $pip --no-build-isolation -e "$_gw_root[optional,tests]" >&2
        return
    fi
    # torch first: the mm packages are chosen for the torch that is there
    for name in torch mminstall runtime optional onnx tests; do
        step=$((step + 1))
        _gw_say "step $step of 7: requirements/$name.txt"
        $pip -r "$_gw_root/requirements/$name.txt" >&2 || return
    done
    _gw_say 'step 7 of 7: group_wsss itself'
    $pip --no-deps --no-build-isolation -e "$_gw_root" >&2
}

_gw_setup() {
    if [ -z "${VIRTUAL_ENV:-}" ] && [ -n "${CONDA_PREFIX:-}" ] &&
        [ "${CONDA_DEFAULT_ENV:-base}" != base ]; then
        VIRTUAL_ENV="$CONDA_PREFIX"
    fi
    if [ -z "${VIRTUAL_ENV:-}" ]; then
        if [ ! -x "$_gw_root/.venv/bin/python" ] ||
            ! "$_gw_root/.venv/bin/python" -m pip --version \
                >/dev/null 2>&1; then
            local base
            if ! base="$(_gw_find_python)"; then
                _gw_say 'error: Python 3.10 or later with venv is needed'
                return 2
            fi
            _gw_say "creating .venv with $("$base" --version 2>&1)"
            "$base" -m venv --clear "$_gw_root/.venv" || return 2
        fi
        . "$_gw_root/.venv/bin/activate" || return 2
    fi
    if ! python -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
        _gw_say "error: $VIRTUAL_ENV has $(python --version 2>&1), 3.10 or" \
            'later is needed'
        return 2
    fi

    export PYTHONPATH="$_gw_root/projects${PYTHONPATH:+:$PYTHONPATH}"
    local stamp="$VIRTUAL_ENV/.group_wsss_requirements" want
    want="$(_gw_hash)" || return 2
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
        return 0
    fi
    rm -f "$stamp"
    if ! _gw_install; then
        _gw_say 'error: the installation failed (see above); run the same' \
            'command again to go on'
        return 2
    fi
    if ! python -c 'import group_wsss' >&2; then
        _gw_say 'error: the installed packages do not fit together'
        return 2
    fi
    echo "$want" >"$stamp"
    _gw_say "ready: $VIRTUAL_ENV"
}

_gw_setup
