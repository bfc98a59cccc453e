#!/usr/bin/env bash
# Copyright (c) group_wsss contributors. All rights reserved.
# Train on several processes of one machine or more:
#   bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# NNODES, NODE_RANK, PORT and MASTER_ADDR are honoured. Without a GPU the
# processes run on the CPU (gloo).
set -e

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [arguments of tools/train.py]" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
NNODES=${NNODES:-1}
NODE_RANK=${NODE_RANK:-0}
PORT=${PORT:-29500}
MASTER_ADDR=${MASTER_ADDR:-"127.0.0.1"}
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

if [ ! -f "$CONFIG" ]; then
    echo "error: $CONFIG: no such config file" >&2
    exit 2
fi

PYTHONPATH="$root/projects${PYTHONPATH:+:$PYTHONPATH}" \
exec python -m torch.distributed.run \
    --nnodes="$NNODES" \
    --node_rank="$NODE_RANK" \
    --master_addr="$MASTER_ADDR" \
    --nproc_per_node="$GPUS" \
    --master_port="$PORT" \
    --monitor_interval=0.1 \
    "$root/tools/train.py" \
    "$CONFIG" \
    --launcher pytorch "${@:3}"
