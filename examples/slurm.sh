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

# On every node Ray is started; the first waits for the others and trains. A node that fails ends the job.
srun --kill-on-bad-exit=1 \
    ray symmetric-run --address "$head" --min-nodes "$count" --num-cpus "${SLURM_CPUS_PER_TASK:-64}" --num-gpus 8 -- \
    env "RAY_ADDRESS=$head" python3 -m verl.trainer.main_ppo \
    +recipe="${RECIPE:-mixed_r1_qwen2_5_vl_32b}" \
    data.train_files="$train" \
    data.val_files="$val" \
    trainer.nnodes="$count" \
    trainer.n_gpus_per_node=8 \
    "$@"
