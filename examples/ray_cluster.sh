#!/usr/bin/env bash
# Qwen2.5-VL-32B on two nodes of 8 GPUs, with a Ray cluster started by hand. Data, model and checkpoints must lie under
# the same paths on every node, on a shared file system.
#
#   first node:        examples/ray_cluster.sh head
#   every other node:  examples/ray_cluster.sh worker HEAD_ADDRESS
#   first node:        examples/ray_cluster.sh train NODES TRAIN.parquet VAL.parquet [Hydra overrides]
#   every node, after: ray stop
set -euo pipefail
usage="usage: $0 head | worker HEAD_ADDRESS | train NODES TRAIN.parquet VAL.parquet [Hydra overrides]"
port=${RAY_PORT:-6379}

case ${1:?$usage} in
head)
    exec ray start --head --port="$port"
    ;;
worker)
    exec ray start --address="${2:?$usage}:$port"
    ;;
train)
    nodes=${2:?$usage}
    train=${3:?$usage}
    val=${4:?$usage}
    shift 4
    # main_ppo joins the cluster that runs on this node.
    exec env RAY_ADDRESS=auto python3 -m verl.trainer.main_ppo \
        +recipe="${RECIPE:-mixed_r1_qwen2_5_vl_32b}" \
        data.train_files="$train" \
        data.val_files="$val" \
        trainer.nnodes="$nodes" \
        trainer.n_gpus_per_node=8 \
        "$@"
    ;;
*)
    echo "$usage" >&2
    exit 2
    ;;
esac
