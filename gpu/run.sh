#!/usr/bin/env bash
# One stage on a machine with a GPU, each under 10 minutes; what gpu/pack.sh packed is all it needs.
#   gpu/run.sh 1    parity: the same steps on the processor and on the GPU
#   gpu/run.sh 2    speed against PyTorch, same network, same batch
#   gpu/run.sh 3    the training table: 10K samples, 10 epochs, 1, 2 and 3 levels
#   gpu/run.sh 4    the weights to ship: repeat until it says that the run has ended
# Results go to $OUT, or gpu/results. State that the next call needs goes to $STATE, or the same
# folder. DRY=1 runs everything on the processor, in seconds, to try the scripts.
set -euo pipefail
cd "$(dirname "$0")/.."
stage=${1:?a stage from 1 to 4}
pack=gpu/pack
out=${OUT:-gpu/results}
state=${STATE:-$out}
lab=$pack/train_lab
# The binary travels packed.
[ -x "$lab" ] || [ ! -f "$lab.gz" ] || gunzip -k "$lab.gz"
mkdir -p "$out" "$state"
test -x "$lab" || { echo "$lab is missing: run gpu/pack.sh first" >&2; exit 3; }

if [ "${DRY:-0}" = 1 ]; then
  device=cpu; python_device=--cpu; tiny="batch=1 seq_len=64"; python_tiny="--batch 1 --seq-len 64 --steps 1"
  sizes="nano"; speed_steps=1; samples="samples=200 steps=2"; call=0.05; total=0.1
else
  device=cuda; python_device=; tiny=; python_tiny=
  sizes="nano tiny base"; speed_steps=20; samples="samples=10000 epochs=10"; call=${CALL_MINUTES:-8}; total=${TOTAL_MINUTES:-60}
fi
python=${PYTHON:-python3}

# Peak of the device's used memory while a command runs, in MiB, beside what the command prints.
watched() {
  local name=$1; shift
  if command -v nvidia-smi >/dev/null && [ "$device" = cuda ]; then
    nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 200 >"$out/$name.memory" &
    local watcher=$!
  fi
  local rc=0
  "$@" >"$out/$name.json" 2>"$out/$name.log" || rc=$?
  if [ -n "${watcher:-}" ]; then
    kill "$watcher" 2>/dev/null || true
    echo "{\"peak_device_mib\": $(sort -n "$out/$name.memory" | tail -n 1)}" >"$out/$name.peak.json"
    rm -f "$out/$name.memory"
  fi
  echo "$name: exit $rc"; tail -n 3 "$out/$name.log"
  return $rc
}

case $stage in
1)
  for size in $sizes; do
    watched "parity-$size" $lab parity device=$device size=$size steps=3 batch=2 seq_len=256 $tiny
  done ;;
2)
  for size in $sizes; do
    case $size in nano) batch=64 ;; tiny) batch=32 ;; *) batch=16 ;; esac
    watched "speed-nestor-$size" $lab bench device=$device size=$size steps=$speed_steps batch=$batch seq_len=1024 $tiny || true
    watched "speed-torch-$size" $python gpu/torch_decoder.py $python_device --check --size $size --batch $batch \
      --seq-len 1024 --steps $speed_steps $python_tiny || true
  done ;;
3)
  for levels in 1 2 3; do
    folder=$state/table-$levels
    [ -f "$out/table-$levels.done" ] && continue
    resume=0; [ -f "$folder/run.jsonl" ] && resume=1
    watched "table-$levels" $lab train $pack/corpus "$folder" device=$device size=nano levels=$levels $samples \
      batch=32 call_minutes=$call resume=$resume $tiny
    grep -q '"kind":"summary".*"stopped":false' "$out/table-$levels.json" && touch "$out/table-$levels.done"
  done ;;
4)
  folder=$state/best
  resume=0; [ -f "$folder/run.jsonl" ] && resume=1
  watched "best" $lab train $pack/corpus "$folder" device=$device size=${SIZE:-nano} minutes=$total \
    batch=${BATCH:-64} seq_len=1024 call_minutes=$call resume=$resume $tiny
  if grep -q '"kind":"summary".*"stopped":false' "$out/best.json"; then
    echo "the run has ended; the model is in $folder"
  else
    echo "run this stage again to go on"
  fi ;;
*)
  echo "stage $stage: 1 to 4 are known" >&2; exit 2 ;;
esac
