#!/bin/bash
# Trains on all hosts of a Cloud TPU slice, on which this repository and its environment have been installed. TPUs tell
# JAX the rest. run.dir is a folder that all hosts see.
#   scripts/launch/tpu_pod.sh NAME ZONE configs/char_lm.toml run.dir=/shared/runs data.batch_size=1024
set -euo pipefail
name=$1 zone=$2
shift 2

gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
  --command="cd seqmodels && python scripts/train.py $(printf '%q ' "$@") --distributed --resume"
