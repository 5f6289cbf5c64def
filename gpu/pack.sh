#!/usr/bin/env bash
# Gathers what a machine with a GPU needs, but no Rust and no network, in gpu/pack (git-ignored):
# the stripped and gzipped binary with the feature `cuda` (45 MB, 12 MB packed), and the corpus as it lies
# on disk (zstd shards).
# Usage: gpu/pack.sh [CORPUS]          default: data/corpus
set -euo pipefail
cd "$(dirname "$0")/.."
corpus=${1:-data/corpus}
limit=$((60 * 1000 * 1000))
pack=gpu/pack
test -f "$corpus/manifest.json" || { echo "$corpus: no corpus (build one with: nestor corpus build)" >&2; exit 3; }

features=cuda
# A dry run of this script on a machine where the CUDA crates have not been built.
[ "${DRY:-0}" = 1 ] && features=
cargo build --release -p nestor-train --example train_lab ${features:+--features "$features"}
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

rm -rf "$pack.partial" && mkdir -p "$pack.partial/corpus"
strip -o "$pack.partial/train_lab" "$target/release/examples/train_lab"
gzip -9 "$pack.partial/train_lab"
cp -r "$corpus"/manifest.json "$corpus"/tokenizer.json "$corpus"/index.jsonl.zst "$corpus"/shards "$pack.partial/corpus/"
rm -rf "$pack" && mv "$pack.partial" "$pack"

bytes=$(du -sb "$pack" | cut -f1)
echo "$pack: $bytes bytes"
[ "$bytes" -le "$limit" ] || { echo "$pack is over $limit bytes: use a smaller corpus" >&2; exit 1; }
