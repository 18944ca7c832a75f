#!/usr/bin/env bash
# Makes .venv: Debian's Python 3 with Debian's numpy, pytest and so on, and longformer_interop from this source tree. Nothing is downloaded.
# pythonnet, which Debian does not have, comes from wheels in ../shared/wheels (or WHEELS=<dir>) where there are any.
set -euo pipefail
cd "$(dirname "$0")/.."
python=/usr/bin/python3   # not the one on PATH: Debian's packages are for this one
wheels=${WHEELS:-../shared/wheels}
for folder in "$wheels" ../../shared/wheels; do
  [ -d "$folder" ] && { wheels=$folder; break; }
done
if ! .venv/bin/python -c 'import sys' 2>/dev/null; then
  rm -rf .venv
  "$python" -m venv --system-site-packages .venv
fi
pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"; }
if ! .venv/bin/python -c 'import pythonnet' 2>/dev/null; then
  if ls "$wheels"/pythonnet-*.whl >/dev/null 2>&1; then
    # pip remarks that Debian's cffi stays where it is; that is as it should be.
    pip install --no-index --find-links "$wheels" pythonnet 2>/dev/null || echo "venv: pythonnet could not be installed from $wheels" >&2
  else
    echo "venv: no pythonnet in $wheels; the tests of longformer_interop.clr will be skipped" >&2
  fi
fi
mkdir -p build/python
pip install --no-index --no-build-isolation --no-deps --editable .
touch .venv/ready
