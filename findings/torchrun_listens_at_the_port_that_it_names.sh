#!/bin/sh
# torch 2.15.0, torchrun.
# A good guess: MASTER_PORT in a worker's environment is a free port, at which rank 0 opens the store that all meet at, as
# the documentation of init_method="env://" has it ("rank 0 listens there").
# Seen: torchrun's agent listens at that port already and keeps the store itself, which it says by
# TORCHELASTIC_USE_AGENT_STORE=True alone. A rank 0 that binds the port, a program in C++ say, gets "Address already in
# use"; PyTorch's own TCPStore(is_master=True) fails to bind too, says so on standard error, goes on as a client of the
# agent's store, and returns as if it were the master.
# Exit code 1 if that changes. Takes about 5 GB in a temporary folder.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir torch==2.15.0 numpy
cat >"$folder/worker.py" <<'PYTHON'
import os
import socket

import torch
from torch.distributed import TCPStore

address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
if int(os.environ["RANK"]) == 0:
    try:
        with socket.socket() as listener:
            listener.bind(("", port))
        bound = "binds"
    except OSError as error:
        bound = error.strerror
    client = TCPStore(address, port, is_master=False, wait_for_workers=False)
    client.set("asked", "by a client")
    master = TCPStore(address, port, is_master=True, wait_for_workers=False)
    agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE")
    found = master.get("asked").decode() if master.check(["asked"]) else "nothing"
    print(f"torch {torch.__version__}: rank 0 at MASTER_PORT: {bound}; TORCHELASTIC_USE_AGENT_STORE={agent}; a store made "
          f"as master finds what was set {found} before")
    if bound == "binds" or agent != "True" or found != "by a client":
        raise SystemExit("changed")
PYTHON
cd "$folder"
"$folder/venv/bin/torchrun" --nproc-per-node 2 worker.py
