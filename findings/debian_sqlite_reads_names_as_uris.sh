#!/bin/sh
# libsqlite3-0 3.40.1-2+deb12u2 (Debian 12), through Python's sqlite3.connect(name).
# A good guess: a name is the name of a file. SQLite's documentation has URI names off by default, Python's has uri=False.
# Seen: Debian compiles SQLite with SQLITE_USE_URI=1, so that "file:x" makes a file named "x", and "file:x?mode=memory" no
# file at all: what is written and committed there is gone, without an error. A name with "./" in front is a file's.
# Exit code 1 if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq libsqlite3-0=3.40.1-2+deb12u2
dpkg -x libsqlite3-0_*.deb package
mkdir made
cd made
LD_LIBRARY_PATH=$(dirname "$folder"/package/usr/lib/*/libsqlite3.so.0) /usr/bin/python3 - <<'PYTHON'
import os
import sqlite3

print("SQLite", sqlite3.sqlite_version)
expected = {"file:x": ["x"], "file:y?mode=memory": [], "./file:z": ["file:z"]}
for name, files in expected.items():
    before = set(os.listdir("."))
    with sqlite3.connect(name) as database:
        database.execute("CREATE TABLE t (a)")
    made = sorted(set(os.listdir(".")) - before)
    print(f"connect({name!r}) makes {made}")
    assert made == files
PYTHON
