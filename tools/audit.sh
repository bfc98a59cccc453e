#!/usr/bin/env bash
# Copyright (c) group_wsss contributors. All rights reserved.
# Audit the code (bandit, no network) and the pinned requirements (pip-audit,
# which asks PyPI for advisories):
#   bash tools/audit.sh [--code-only | --offline-ok]
# Needs `pip install bandit==1.9.4 pip-audit==2.10.1`, in an environment of
# their own if need be; bandit alone with --code-only, which the test suite
# runs. Status 1: something was found; 2: a tool is missing; 3: the advisories
# cannot be reached, which is 0 with --offline-ok.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root" || exit 2
offline=3
tools=(bandit pip-audit)
case "${1:-}" in
--offline-ok) offline=0 ;;
--code-only) tools=(bandit) ;;
'') ;;
*)
    echo "error: unknown argument $1" >&2
    exit 2
    ;;
esac
for tool in "${tools[@]}"; do
    if ! command -v "$tool" >/dev/null; then
        echo "error: $tool is not there: pip install bandit pip-audit" >&2
        exit 2
    fi
done

# B101: asserts are for programmers, input raises InputError
# B403, B404, B405: to import pickle, subprocess or ElementTree is no call
# B603, B607: programs are called with lists of words, never by a shell;
#   tests/test_security.py sees to that
# B311: what is drawn at random is no secret
skips=B101,B311,B403,B404,B405,B603,B607
if ! bandit -q -r projects tools -s "$skips"; then
    exit 1
fi
echo 'audit: bandit found nothing in projects and tools'
if [ "${1:-}" = --code-only ]; then
    exit 0
fi

found="$(mktemp)"
trap 'rm -f "$found"' EXIT
words=()
for file in requirements/*.txt; do
    words+=(-r "$file")
done
pip-audit "${words[@]}" --no-deps --disable-pip --progress-spinner off \
    -f json >"$found" 2>/dev/null
python3 - "$found" "$offline" <<'EOF'
import json
import sys

try:
    with open(sys.argv[1]) as file:
        packages = json.load(file)['dependencies']
except ValueError:
    packages = []
known = [package for package in packages if 'vulns' in package]
if not known:
    print('audit: no advisories of any package can be reached: '
          'the requirements were not audited')
    sys.exit(int(sys.argv[2]))
bad = 0
for package in known:
    for entry in package['vulns']:
        bad += 1
        fixed = ', '.join(entry.get('fix_versions', [])) or 'no version'
        print(f"audit: {package['name']}=={package['version']}: "
              f"{entry['id']}, mended in {fixed}")
for package in packages:
    if 'vulns' not in package:
        print(f"audit: {package['name']}: not known, not audited")
print(f'audit: {len(known)} packages, {bad} advisories')
sys.exit(1 if bad else 0)
EOF
