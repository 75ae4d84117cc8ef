#!/usr/bin/env bash
# Qwen2.5-VL-3B with LoRA on one GPU of 80 GB.
#
#   examples/one_gpu_lora.sh TRAIN.parquet VAL.parquet [Hydra overrides]
#
# What it needs, before it is started:
#   mixed-r1 plan --recipe mixed_r1_qwen2_5_vl_3b --gpus 1 --data TRAIN.parquet +recipe/adapter=lora
set -euo pipefail
train=${1:?usage: $0 TRAIN.parquet VAL.parquet [Hydra overrides]}
val=${2:?usage: $0 TRAIN.parquet VAL.parquet [Hydra overrides]}
shift 2

exec python3 -m verl.trainer.main_ppo \
    +recipe=mixed_r1_qwen2_5_vl_3b \
    +recipe/adapter=lora \
    data.train_files="$train" \
    data.val_files="$val" \
    data.train_batch_size=64 \
    actor_rollout_ref.actor.ppo_mini_batch_size=32 \
    trainer.n_gpus_per_node=1 \
    trainer.experiment_name=qwen2_5_vl_3b_lora \
    "$@"
