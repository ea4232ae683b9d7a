#!/bin/bash
# Trains on several nodes of a Slurm cluster: one task a node, with all GPUs of it. Slurm tells JAX the rest.
#   sbatch --nodes=4 scripts/launch/slurm.sh configs/char_lm.toml data.batch_size=1024
# Before its time is over Slurm sends SIGTERM; the run saves itself and the job is queued again. A job that lost a node
# ends with code 3 or 134 and is queued again too, if it was not begun ten times before: so end, in the processes beside
# it, faults of a single one as well, such as too little memory, which would return for ever. MOST_RESTARTS is another
# number than ten. --resume starts at 0 where there is nothing to go on with.
#SBATCH --job-name=seqmodels
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

srun --kill-on-bad-exit=1 python scripts/train.py "$@" --distributed --resume
code=$?
# srun gives the largest code of all processes, 128 + 15 where the run was stopped by SIGTERM.
case "$code" in
  143) scontrol requeue "$SLURM_JOB_ID" ;;
  3 | 134) [ "${SLURM_RESTART_COUNT:-0}" -lt "${MOST_RESTARTS:-10}" ] && scontrol requeue "$SLURM_JOB_ID" ;;
esac
exit "$code"
