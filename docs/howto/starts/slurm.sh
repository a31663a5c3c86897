#!/bin/bash
# A study on Slurm: a Dask scheduler, a worker for each task, and losscope, in one job.
#
#     sbatch slurm.sh study.toml
#
# Out of time, or interrupted, the same line goes on where the job ended. The folder of the study file, and what
# the study names, lie on a disk that all nodes share.
#SBATCH --job-name=losscope
#SBATCH --ntasks=16
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=4G
#SBATCH --time=08:00:00
#SBATCH --signal=B:INT@120
#SBATCH --output=losscope-%j.log
# With GPUs: a task for each, and --resources GPU=1 below; the study says device = "cuda".
##SBATCH --gpus-per-task=1

set -euo pipefail
set -m # with job control what runs beside the script can be interrupted

study=$(realpath "${1:?give the study file}")
cd "$(dirname "$study")"
export OMP_NUM_THREADS=1
where=$PWD/scheduler-${SLURM_JOB_ID:-$$}.json
trap 'rm -f "$where"; kill $(jobs -p) 2>/dev/null || true' EXIT

dask scheduler --scheduler-file "$where" --port 0 --no-dashboard &
until [ -s "$where" ]; do sleep 1; done
srun dask worker --scheduler-file "$where" --nthreads 1 --no-dashboard --death-timeout 300 \
    --local-directory "${TMPDIR:-/tmp}" &
address=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' "$where")

losscope run "$study" --address "$address" --run-limit 2h &
driver=$!
trap 'kill -INT $driver' INT TERM # two minutes before the end: states are kept
code=0
wait $driver || code=$?
if kill -0 $driver 2>/dev/null; then
    code=0
    wait $driver || code=$?
fi
exit $code
