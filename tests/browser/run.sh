#!/bin/sh
# run.sh CHECK.mjs …: the check where it can run, exit code 77 and the reason where it cannot.
if ! command -v node >/dev/null 2>&1; then
  echo "skipped: node is not installed"
  exit 77
fi
check=$1
shift
exec node "$(dirname "$0")/$check" "$@"
