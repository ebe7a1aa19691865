#!/bin/bash
# Training on several nodes of a SLURM cluster: one process for each GPU, gradients averaged over all.
#   sbatch configs/fisheye/slurm_ddp.sh DATA RUN [CONFIG]
# DATA is a prepared set and RUN the folder of the run, both where all nodes see them. CONFIG is a
# file or a name of `healswin configs list`. The batch of one step is nodes x GPUs x data.batch_size:
# published are 4 GPUs with 2 each, and more of them may want another learning rate.
#
# The job may be stopped at any time and submitted again with the same line: it goes on from the last
# finished epoch as if nothing had happened (--ckpt_path last). With --requeue SLURM does so itself
# after a preemption or the failure of a node. For a training that is longer than a job may be, submit
# the line several times: with "singleton" the jobs run one after the other.

#SBATCH --job-name=healswin
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --dependency=singleton
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

set -euo pipefail

DATA=${1:?"the prepared set is missing: sbatch slurm_ddp.sh DATA RUN [CONFIG]"}
RUN=${2:?"the folder of the run is missing: sbatch slurm_ddp.sh DATA RUN [CONFIG]"}
CONFIG=${3:-fisheye/segmentation/synwoodscape_large_ad_healswin}

# Where healswin is installed, for example:  source ~/healswin/.venv/bin/activate

# srun starts one process for each task, and they find each other by what SLURM says of the job. The
# numbers of nodes and devices must be the job's.
JOB=(
  --data.root "$DATA" --data.workers 6 --trainer.default_root_dir "$RUN"
  --trainer.accelerator gpu --trainer.strategy ddp
  --trainer.num_nodes "$SLURM_JOB_NUM_NODES" --trainer.devices "$SLURM_NTASKS_PER_NODE"
)
srun healswin fit --config "$CONFIG" --ckpt_path last --checkpoint_every 50 \
  --trainer.precision bf16-mixed "${JOB[@]}"

# After the last epoch: RUN/test.json and RUN/report.md.
srun healswin test --ckpt_path best "${JOB[@]}"
