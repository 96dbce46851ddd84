#!/bin/sh
# run.sh LIBRARY: holds the C++ operator to eager PyTorch; 77, skipped, where something it needs is missing.
# Debian's PyTorch is seen by /usr/bin/python3 alone; POLARISCOPE_PYTHON names another.
python=${POLARISCOPE_PYTHON:-/usr/bin/python3}
here=$(cd "$(dirname "$0")" && pwd)
if [ ! -f "$1" ]; then
  echo "skipped: the PyTorch operator is not built ($1)"
  exit 77
fi
if ! "$python" -c 'import torch' 2>/dev/null; then
  echo "skipped: $python has no torch"
  exit 77
fi
export PYTHONPATH="$here/../python" PYTHONDONTWRITEBYTECODE=1
exec "$python" "$here/attend.py" "$1"
