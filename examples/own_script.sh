#!/usr/bin/env bash
# A GRPO script as verl users have it, of verl's own keys only. The last three lines are all that Mixed-Reward needs.
#
#   examples/own_script.sh MODEL TRAIN.parquet VAL.parquet [Hydra overrides]
set -euo pipefail
usage="usage: $0 MODEL TRAIN.parquet VAL.parquet [Hydra overrides]"
model=${1:?$usage}
train=${2:?$usage}
val=${3:?$usage}
shift 3

exec python3 -m verl.trainer.main_ppo \
    algorithm.adv_estimator=grpo \
    data.train_files="$train" \
    data.val_files="$val" \
    data.train_batch_size=256 \
    data.max_prompt_length=2048 \
    data.max_response_length=1024 \
    data.filter_overlong_prompts=true \
    data.truncation=error \
    actor_rollout_ref.model.path="$model" \
    actor_rollout_ref.actor.strategy=fsdp2 \
    actor_rollout_ref.actor.optim.lr=1e-6 \
    actor_rollout_ref.actor.ppo_mini_batch_size=64 \
    actor_rollout_ref.actor.use_dynamic_bsz=true \
    actor_rollout_ref.actor.ppo_max_token_len_per_gpu=12288 \
    actor_rollout_ref.rollout.name=vllm \
    actor_rollout_ref.rollout.n=8 \
    actor_rollout_ref.rollout.tensor_model_parallel_size=1 \
    actor_rollout_ref.rollout.load_format=auto \
    actor_rollout_ref.rollout.log_prob_use_dynamic_bsz=true \
    trainer.n_gpus_per_node=8 \
    trainer.total_epochs=1 \
    "$@" \
    reward.reward_manager.name=mixed_r1 \
    +reward.reward_kwargs.mixed_r1.embedding_model="$model" \
    +reward.reward_kwargs.mixed_r1.iou.box_frame=resized
