#!/bin/sh
# Writes the sources of an infobase into a folder and teaches them to a project. A second run writes and learns only what has changed.
#
#     deploy/sources/dump.sh --file /srv/bases/erp --out /srv/sources/erp --project erp
#     deploy/sources/dump.sh --server 'srv\erp' --user robot --out /srv/sources/erp --project erp --extension Доработки
#     deploy/sources/dump.sh --with ibcmd --file /srv/bases/erp --out /srv/sources/erp
#
# The password is taken from the variable NESTOR_IB_PASSWORD. 1cv8 and ibcmd are looked for on PATH, or named by the variables V8 and IBCMD.
# Each extension (--extension NAME, as often as needed) goes into a folder of its own: OUT/cf, OUT/cfe/NAME. With --with ibcmd a server's base
# is named by a file of the standalone server (--config FILE) instead of --server.
set -eu

with=designer file='' server='' config='' user='' out='' project='' extensions=''
usage() { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
  [ $# -gt 1 ] || usage
  case $1 in
    --with) with=$2 ;; --file) file=$2 ;; --server) server=$2 ;; --config) config=$2 ;; --user) user=$2 ;;
    --out) out=$2 ;; --project) project=$2 ;;
    --extension) extensions="$extensions$2
" ;;
    *) echo "dump.sh: $1 is not known" >&2; usage ;;
  esac
  shift 2
done
[ -n "$out" ] || usage
[ -n "$file$server$config" ] || usage

# One tree: a configuration, or the extension that is named.
designer() {
  folder=$1 extension=$2
  set -- DESIGNER /DisableStartupDialogs /DisableStartupMessages
  if [ -n "$file" ]; then set -- "$@" /F "$file"; else set -- "$@" /S "$server"; fi
  if [ -n "$user" ]; then set -- "$@" /N "$user" /P "${NESTOR_IB_PASSWORD:-}"; fi
  log=$(mktemp)
  set -- "$@" /Out "$log" /DumpConfigToFiles "$folder"
  if [ -n "$extension" ]; then set -- "$@" -Extension "$extension"; fi
  # Without the list of versions of an earlier dump there is nothing to compare with.
  if [ -f "$folder/ConfigDumpInfo.xml" ]; then set -- "$@" -update -force; fi
  if "${V8:-1cv8}" "$@"; then rm -f "$log"; else code=$?; cat "$log" >&2; rm -f "$log"; exit "$code"; fi
}

standalone() {
  folder=$1 extension=$2
  set -- infobase config export --force
  if [ -n "$config" ]; then set -- "$@" "--config=$config"; else set -- "$@" "--db-path=$file"; fi
  if [ -n "$user" ]; then set -- "$@" "--user=$user" "--password=${NESTOR_IB_PASSWORD:-}"; fi
  if [ -n "$extension" ]; then set -- "$@" "--extension=$extension"; fi
  if [ -f "$folder/ConfigDumpInfo.xml" ]; then set -- "$@" --sync; fi
  "${IBCMD:-ibcmd}" "$@" "$folder"
}

case $with in
  designer) dump=designer ;;
  ibcmd) dump=standalone; [ -z "$server" ] || { echo 'dump.sh: ibcmd takes --file or --config' >&2; exit 2; } ;;
  *) usage ;;
esac
mkdir -p "$out/cf"
$dump "$out/cf" ''
printf '%s' "$extensions" | while IFS= read -r name; do
  mkdir -p "$out/cfe/$name"
  $dump "$out/cfe/$name" "$name"
done
if [ -n "$project" ]; then
  set -- "$out/cf"
  for folder in "$out"/cfe/*/; do
    if [ -d "$folder" ]; then set -- "$@" "${folder%/}"; fi
  done
  exec "${NESTOR:-nestor}" learn "$@" --project "$project"
fi
