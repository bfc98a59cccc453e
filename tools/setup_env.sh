#!/usr/bin/env bash
# Copyright (c) group_wsss contributors. All rights reserved.
# Set the environment up; does nothing when nothing changed.
#   bash tools/setup_env.sh [--stack default|openmmlab]
# default: the maintained forks on a current torch; openmmlab: the stock
# packages on torch 2.1. Each has an environment of its own in the checkout,
# .venv and .venv-openmmlab, unless one is active.
set -e
usage() {
    echo "usage: $0 [--stack default|openmmlab]" >&2
    exit 2
}
case "$#:${1:-}" in
    0:) ;;
    1:--stack=*) export GROUP_WSSS_STACK="${1#*=}" ;;
    2:--stack) export GROUP_WSSS_STACK="$2" ;;
    *) usage ;;
esac
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
echo "environment: $VIRTUAL_ENV ($(python --version 2>&1))"
