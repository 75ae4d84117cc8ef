#!/usr/bin/env bash
# Serve a merged model with vLLM, behind OpenAI's chat interface on port 8000.
#
#   examples/serve.sh MERGED_DIR [options of vllm serve]
#
# An adapter without merging: examples/serve.sh BASE --enable-lora --max-lora-rank 64 \
#     --lora-modules mixed_r1_lora=BASE/lora_adapter
set -euo pipefail
model=${1:?usage: $0 MERGED_DIR [options of vllm serve]}
shift

exec vllm serve "$model" \
    --served-model-name mixed_r1 \
    --max-model-len 8192 \
    --limit-mm-per-prompt '{"image": 4}' \
    "$@"
