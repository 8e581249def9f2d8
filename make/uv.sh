#!/bin/sh
# Installs one release of uv from PyPI into a folder of its own.
# usage: uv.sh PYTHON FOLDER VERSION
set -eu
python=$1 folder=$2 version=$3

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Python 3.11 or later is needed, and '$python' is not: install it, or name another with PYTHON=" >&2
    exit 1
fi
if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv --clear "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$version"
elif "$python" -m pip --version >/dev/null 2>&1; then
    # Debian keeps ensurepip in a package of its own; any pip will do instead.
    "$python" -m venv --clear --without-pip "$folder"
    "$python" -m pip --python "$folder/bin/python" install --quiet --disable-pip-version-check "uv==$version"
else
    echo "'$python' can neither make an environment with pip nor has pip itself." >&2
    echo "On Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
fi
