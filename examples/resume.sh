#!/usr/bin/env bash
# Go on from a checkpoint, with the recipe and the overrides of the run that wrote it.
#
#   RECIPE=mixed_r1_qwen2_5_vl_7b examples/resume.sh checkpoints/…/global_step_40 TRAIN.parquet VAL.parquet [overrides]
#
# To go on from the newest checkpoint of the same project and experiment nothing is needed: start the same command again
# (trainer.resume_mode=auto is verl's default).
set -euo pipefail
usage="usage: $0 CHECKPOINT/global_step_N TRAIN.parquet VAL.parquet [Hydra overrides]"
checkpoint=${1:?$usage}
train=${2:?$usage}
val=${3:?$usage}
shift 3

exec python3 -m verl.trainer.main_ppo \
    +recipe="${RECIPE:-mixed_r1_qwen2_5_vl_7b}" \
    data.train_files="$train" \
    data.val_files="$val" \
    trainer.resume_mode=resume_path \
    trainer.resume_from_path="$checkpoint" \
    "$@"
