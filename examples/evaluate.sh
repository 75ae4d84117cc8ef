#!/usr/bin/env bash
# Answer and score a validation file with a model, through the rollout and the rewards of training, without training.
#
#   RECIPE=mixed_r1_qwen2_5_vl_7b examples/evaluate.sh MODEL_DIR VAL.parquet OUTPUT_DIR [Hydra overrides]
#
# verl loads the model as for training, so it needs the recipe's GPUs. OUTPUT_DIR/0.jsonl holds every answer with its
# score; `mixed-r1 score OUTPUT_DIR/0.jsonl` prints the table by source and reward.
set -euo pipefail
usage="usage: $0 MODEL_DIR VAL.parquet OUTPUT_DIR [Hydra overrides]"
model=${1:?$usage}
val=${2:?$usage}
output=${3:?$usage}
shift 3

exec python3 -m verl.trainer.main_ppo \
    +recipe="${RECIPE:-mixed_r1_qwen2_5_vl_7b}" \
    data.train_files="$val" \
    data.val_files="$val" \
    actor_rollout_ref.model.path="$model" \
    trainer.val_before_train=true \
    trainer.val_only=true \
    trainer.validation_data_dir="$output" \
    "$@"
