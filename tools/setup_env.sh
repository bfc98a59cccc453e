#!/usr/bin/env bash
# Copyright (c) group_wsss contributors. All rights reserved.
# Set the environment up; does nothing when nothing changed.
#   bash tools/setup_env.sh
set -e
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
echo "environment: $VIRTUAL_ENV ($(python --version 2>&1))"
