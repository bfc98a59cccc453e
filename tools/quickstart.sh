#!/usr/bin/env bash
# Copyright (c) group_wsss contributors. All rights reserved.
# From image tags to a trained DeepLabV3 on the built-in toy set, minutes on
# two CPU cores; --compare: with a plain classifier (K = 1) and full masks.
#   bash tools/quickstart.sh [--compare] [--work-dir DIR] [--data DIR] \
#       [--seed N] [--smoke]
# Interrupted and started again it goes on where it was.
set -e
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/env.sh"
cd "$here/.."
# waiting threads that spin take the cores from those that work
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
exec python tools/quickstart.py "$@"
