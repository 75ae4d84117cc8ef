#!/usr/bin/env bash
# Turn a checkpoint of verl's FSDP engine into a Hugging Face model directory, on the CPU.
#
#   examples/merge.sh checkpoints/…/global_step_40 MERGED_DIR
#
# Of a LoRA run this writes the base model, and the adapter into MERGED_DIR/lora_adapter.
set -euo pipefail
checkpoint=${1:?usage: $0 CHECKPOINT/global_step_N MERGED_DIR}
target=${2:?usage: $0 CHECKPOINT/global_step_N MERGED_DIR}

exec python3 -m verl.model_merger merge \
    --backend fsdp \
    --local_dir "$checkpoint/actor" \
    --target_dir "$target"
