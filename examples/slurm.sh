#!/usr/bin/env bash
# Qwen2.5-VL-32B on two SLURM nodes of 8 GPUs: a Ray cluster inside the job, and main_ppo on its first node.
#
#   sbatch examples/slurm.sh TRAIN.parquet VAL.parquet [Hydra overrides]
#
# The environment with this package must be active when sbatch is called, and lie on a shared file system.
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

mapfile -t nodes < <(scontrol show hostnames "${SLURM_JOB_NODELIST:?start this script with sbatch}")
head=${nodes[0]}
port=${RAY_PORT:-6379}
cpus=${SLURM_CPUS_PER_TASK:-64}

srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --node-ip-address="$head" --port="$port" --num-cpus="$cpus" --num-gpus=8 --block &
sleep "${RAY_HEAD_SECONDS:-20}"
for node in "${nodes[@]:1}"; do
    srun --nodes=1 --ntasks=1 --nodelist="$node" \
        ray start --address="$head:$port" --num-cpus="$cpus" --num-gpus=8 --block &
done
sleep "${RAY_WORKER_SECONDS:-20}"

# The batch script itself runs on the first node; the Ray processes end with the job.
RAY_ADDRESS="$head:$port" python3 -m verl.trainer.main_ppo \
    +recipe="${RECIPE:-mixed_r1_qwen2_5_vl_32b}" \
    data.train_files="$train" \
    data.val_files="$val" \
    trainer.nnodes="${#nodes[@]}" \
    trainer.n_gpus_per_node=8 \
    "$@"
