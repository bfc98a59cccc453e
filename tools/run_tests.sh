#!/usr/bin/env bash
# Copyright (c) group_wsss contributors. All rights reserved.
# Run the test suite; arguments are handed to pytest.
#   bash tools/run_tests.sh [arguments of pytest]
# From any folder; paths in the arguments are relative to the checkout.
set -e
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/env.sh"
cd "$here/.."
# a test file stays in one process; each takes about 1 GB
exec python -m pytest -n auto --maxprocesses 4 --dist loadfile "$@"
