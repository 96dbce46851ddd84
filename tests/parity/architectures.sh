#!/bin/sh
# architectures.sh POLARISCOPE: holds `audit` to transformers 5 on tiny random models of every architecture; 77, skipped,
# where something it needs is missing. POLARISCOPE_PYTHON names a Python that has transformers.
python=${POLARISCOPE_PYTHON:-/usr/bin/python3}
here=$(cd "$(dirname "$0")" && pwd)
if ! "$1" audit --help >/dev/null 2>&1; then
  echo "skipped: $1 audits no models"
  exit 77
fi
if ! "$python" -c 'import safetensors, transformers; assert int(transformers.__version__.split(".")[0]) >= 5' 2>/dev/null; then
  echo "skipped: $python has no transformers 5"
  exit 77
fi
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1
exec "$python" "$here/architectures.py" "$1"
