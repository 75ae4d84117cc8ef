#!/usr/bin/env bash
# Qwen2.5-VL-32B on two SLURM nodes of 8 GPUs: a Ray cluster inside the job, and main_ppo on its first node.
#
#   sbatch examples/slurm.sh TRAIN.parquet VAL.parquet [Hydra overrides]
#
# The environment with this package must be active when sbatch is called, and lie on a shared file system. Ray is 2.49 or
# newer (`ray symmetric-run`).
#SBATCH --job-name=mixed_r1
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.log
set -euo pipefail
train=${1:?usage: sbatch $0 TRAIN.parquet VAL.parquet [Hydra overrides]}
val=${2:?usage: sbatch $0 TRAIN.parquet VAL.parquet [Hydra overrides]}
shift 2

nodes=$(scontrol show hostnames "${SLURM_JOB_NODELIST:?start this script with sbatch}")
head=${nodes%%$'\n'*}:${RAY_PORT:-6379}
count=$(wc -l <<< "$nodes")
cpus=${SLURM_CPUS_PER_TASK:-64}

# On every node Ray is started, and the first trains when all are there. Its name must lead to a network address, not to
# 127.0.0.1. Ray ends with 0 where a node could not be started, so whether training began is written down.
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=${RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT:-600}
began=$(mktemp -u)
# shellcheck disable=SC2016
srun --kill-on-bad-exit=1 --cpus-per-task="$cpus" \
    ray symmetric-run --address "$head" --min-nodes "$count" --num-cpus "$cpus" --num-gpus 8 -- \
    bash -c 'touch "$0" && exec env "$@"' "$began" "RAY_ADDRESS=$head" python3 -m verl.trainer.main_ppo \
    +recipe="${RECIPE:-mixed_r1_qwen2_5_vl_32b}" \
    data.train_files="$train" \
    data.val_files="$val" \
    trainer.nnodes="$count" \
    trainer.n_gpus_per_node=8 \
    "$@"
rm "$began" 2> /dev/null || {
    echo "training never began; the lines above say which node failed" >&2
    exit 1
}
