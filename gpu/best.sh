#!/usr/bin/env bash
# The best weights that the given minutes can buy, nano and tiny side by side on one GPU, in processes that outlive a call:
#   gpu/best.sh start MINUTES    starts both, or goes on with them
#   gpu/best.sh wait SECONDS     waits at most so long for their end, then copies what there is to $OUT
# Batches come from our loader, the steps are PyTorch's (gpu/torch_train.py; LOG.md says why), weights return with
# `train_lab adopt`. State lies in gpu/state. Files in $OUT are split at 15 MB.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p state
lab=$PWD/pack/train_lab
[ -x "$lab" ] || gunzip -k "$lab.gz"
case ${1:?start or wait} in
start)
  minutes=${2:?minutes}
  launch() {
    size=$1; shift
    setsid nohup "${PYTHON:-python3}" torch_train.py --lab "$lab" --corpus pack/corpus --out "state/best-$size" --size "$size" \
      --minutes "$minutes" --resume "$@" >"state/best-$size.log" 2>&1 </dev/null &
    echo $! >"state/best-$size.pid"
  }
  launch nano --batch 64 --muon 5e-3 --adamw 4e-3 --decay 0.1 --rename 0.4
  launch tiny --batch 32 --muon 5e-3 --adamw 4e-3 --decay 0.2 --rename 0.4 --seed 2
  ;;
wait)
  end=$((SECONDS + ${2:?seconds}))
  for size in nano tiny; do
    while kill -0 "$(cat "state/best-$size.pid")" 2>/dev/null && [ $SECONDS -lt $end ]; do sleep 1; done
  done
  for size in nano tiny; do
    tail -n 2 "state/best-$size.log" "state/best-$size/run.jsonl" || true
    [ -f "state/best-$size/weights.safetensors" ] || continue
    split -b 15000000 -d -a 1 "state/best-$size/weights.safetensors" "$OUT/$size.weights."
  done
  tar -C state -czf "$OUT/logs.tar.gz" $(cd state && ls -d best-*.log best-*/run.jsonl *.txt 2>/dev/null)
  ;;
*)
  echo "$1: start or wait is expected" >&2; exit 2 ;;
esac
