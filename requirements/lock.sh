#!/bin/sh
# Write the locks again: `make lock`, or `make lock UPGRADE=1` to take newer versions.
# One lock serves Python 3.11 to 3.14; it names versions and hashes, and no place to fetch them from.
set -eu
cd "$(dirname "$0")/.."

lock() { # lock NAME ARGUMENT...
  name=$1
  shift
  uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --quiet \
    --no-annotate --no-emit-index-url --custom-compile-command "make lock" \
    ${UPGRADE:+--upgrade} --output-file "requirements/$name.txt" "$@" >/dev/null
}

lock dev --extra dev
# The same versions, so that one environment can grow from the first into the second.
lock base --extra plot --extra stream --extra track --extra edge --constraint requirements/dev.txt requirements/build.in
if grep -n '://' requirements/*.txt; then
  echo "lock: a lock names a host" >&2
  exit 1
fi
