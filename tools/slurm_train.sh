#!/usr/bin/env bash
# Copyright (c) group_wsss contributors. All rights reserved.
# Train on a slurm cluster:
#   GPUS=8 bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS and PY_ARGS (arguments of
# the tool) are honoured. SRUN_ARGS='--signal=TERM@120' saves in time before
# the job is taken off; status 75 then says so (docs/interruptions.md).
set -e

if [ $# -lt 3 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG [arguments of train.py]" >&2
    exit 2
fi
PARTITION=$1
JOB_NAME=$2
CONFIG=$3
GPUS=${GPUS:-4}
GPUS_PER_NODE=${GPUS_PER_NODE:-4}
CPUS_PER_TASK=${CPUS_PER_TASK:-5}
SRUN_ARGS=${SRUN_ARGS:-""}
PY_ARGS=${PY_ARGS:-""}
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
set -x

# SRUN_ARGS and PY_ARGS hold several arguments: left unquoted on purpose
PYTHONPATH="$root/projects${PYTHONPATH:+:$PYTHONPATH}" \
exec srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    --gres="gpu:$GPUS_PER_NODE" \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="$CPUS_PER_TASK" \
    --kill-on-bad-exit=1 \
    $SRUN_ARGS \
    python -u "$root/tools/train.py" "$CONFIG" --launcher=slurm $PY_ARGS "${@:4}"
