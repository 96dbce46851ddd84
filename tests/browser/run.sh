#!/bin/sh
# run.sh REPORT.html: check_report.mjs where it can run, exit code 77 and the reason where it cannot.
if ! command -v node >/dev/null 2>&1; then
  echo "skipped: node is not installed"
  exit 77
fi
exec node "$(dirname "$0")/check_report.mjs" "$@"
