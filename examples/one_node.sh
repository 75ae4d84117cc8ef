#!/usr/bin/env bash
# Qwen2.5-VL-7B, all parameters, on one node of 8 GPUs with 80 GB.
#
#   examples/one_node.sh TRAIN.parquet VAL.parquet [Hydra overrides]
#
# Another model: RECIPE=mixed_r1_internvl3_5_8b examples/one_node.sh … (docs/recipes.md lists them).
set -euo pipefail
train=${1:?usage: $0 TRAIN.parquet VAL.parquet [Hydra overrides]}
val=${2:?usage: $0 TRAIN.parquet VAL.parquet [Hydra overrides]}
shift 2

exec python3 -m verl.trainer.main_ppo \
    +recipe="${RECIPE:-mixed_r1_qwen2_5_vl_7b}" \
    data.train_files="$train" \
    data.val_files="$val" \
    trainer.n_gpus_per_node=8 \
    "$@"
