#!/usr/bin/env bash
# One stage on a machine with a GPU; what gpu/pack.sh packed is all it needs.
#   gpu/run.sh 1    parity: the same steps on the processor and on the GPU
#   gpu/run.sh 2    speed against PyTorch, same network, same batch
#   gpu/run.sh 3    the training table: 10K samples, 10 epochs, 1, 2 and 3 levels
#   gpu/run.sh 4    the weights to ship: repeat until it says that the run has ended
# Results go to $OUT, or gpu/results. What the next call needs lies in $STATE, or gpu/state: checkpoints, and the kernels that
# CubeCL has tuned and compiled. SIZES, BATCH, SEQ_LEN, PRODUCTS, LIMIT (seconds for one measurement),
# CALL_MINUTES, TOTAL_MINUTES and MORE (further settings of train_lab) change what is run. DRY=1 runs everything
# on the processor, in seconds, to try the scripts.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
stage=${1:?a stage from 1 to 4}
pack=$root/gpu/pack
mkdir -p "${OUT:-gpu/results}" "${STATE:-gpu/state}"
out=$(cd "${OUT:-gpu/results}" && pwd)
state=$(cd "${STATE:-gpu/state}" && pwd)
lab=$pack/train_lab
# The binary travels packed.
[ -x "$lab" ] || [ ! -f "$lab.gz" ] || gunzip -k "$lab.gz"
test -x "$lab" || { echo "$lab is missing: run gpu/pack.sh first" >&2; exit 3; }
# CubeCL reads its settings, and keeps its caches, where a run starts.
cp gpu/cubecl.toml "$state/"
cd "$state"

python=${PYTHON:-python3}
sizes=${SIZES:-nano tiny}
seq_len=${SEQ_LEN:-1024}
if [ "${DRY:-0}" = 1 ]; then
  device=cpu; python_device=--cpu; tiny="batch=1 seq_len=64"; python_tiny="--batch 1 --seq-len 64 --steps 1"
  sizes=nano; products=f32; speed_steps=1; samples="samples=200 steps=2"; call=0.05; total=0.1
else
  device=cuda; python_device=; tiny=; python_tiny=
  products=${PRODUCTS:-bf16 f32}; speed_steps=${STEPS:-20}; samples="samples=10000 epochs=10"
  call=${CALL_MINUTES:-8}; total=${TOTAL_MINUTES:-60}
fi

# Runs a command under a limit of time; beside what it prints, the peak of the device's used memory in MiB.
watched() {
  local name=$1; shift
  if command -v nvidia-smi >/dev/null && [ "$device" = cuda ]; then
    nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 200 >"$out/$name.memory" &
    local watcher=$!
  fi
  local rc=0 began=$SECONDS
  timeout "${LIMIT:-580}" "$@" >"$out/$name.json" 2>"$out/$name.log" || rc=$?
  if [ -n "${watcher:-}" ]; then
    kill "$watcher" 2>/dev/null || true
    echo "{\"peak_device_mib\": $(sort -n "$out/$name.memory" | tail -n 1)}" >"$out/$name.peak.json"
    rm -f "$out/$name.memory"
  fi
  echo "$name: exit $rc after $((SECONDS - began)) s"; tail -n 3 "$out/$name.log"
  return $rc
}

batch_of() { case $1 in nano) echo 64 ;; tiny) echo 32 ;; *) echo 16 ;; esac; }

case $stage in
1)
  for size in $sizes; do
    watched "parity-$size" "$lab" parity device=$device size=$size steps=3 batch=2 seq_len=256 $tiny || true
  done ;;
2)
  for size in $sizes; do
    batch=${BATCH:-$(batch_of $size)}
    for kind in $products; do
      watched "speed-nestor-$size-$kind" "$lab" bench device=$device products=$kind size=$size steps=$speed_steps \
        batch=$batch seq_len=$seq_len $tiny || true
    done
    watched "speed-torch-$size" $python "$root/gpu/torch_decoder.py" $python_device --check --size $size --batch $batch \
      --seq-len $seq_len --steps $speed_steps $python_tiny || true
  done ;;
3)
  for levels in 1 2 3; do
    folder=table-$levels
    [ -f "$folder.done" ] && continue
    resume=0; [ -f "$folder/run.jsonl" ] && resume=1
    watched "table-$levels" "$lab" train "$pack/corpus" "$folder" device=$device products=${products%% *} size=nano \
      levels=$levels $samples batch=${BATCH:-32} seq_len=512 call_minutes=$call resume=$resume $tiny ${MORE:-}
    grep -q '"kind":"summary".*"stopped":false' "$out/table-$levels.json" && touch "$folder.done"
  done ;;
4)
  size=${SIZE:-nano}
  folder=best-$size
  resume=0; [ -f "$folder/run.jsonl" ] && resume=1
  watched "best-$size" "$lab" train "$pack/corpus" "$folder" device=$device products=${products%% *} size=$size \
    minutes=$total batch=${BATCH:-$(batch_of $size)} seq_len=$seq_len call_minutes=$call resume=$resume $tiny ${MORE:-} || true
  if grep -q '"kind":"summary".*"stopped":false' "$out/best-$size.json"; then
    echo "the run has ended; the model is in $folder"
  else
    echo "run this stage again to go on"
  fi ;;
*)
  echo "stage $stage: 1 to 4 are known" >&2; exit 2 ;;
esac
