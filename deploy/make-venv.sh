#!/bin/sh
# Make or update .venv from requirements.lock and install this checkout into it, for `make`.
# Uses uv when it is there, else any Python 3.11 or newer with venv and pip. Says everything on
# stderr; ends with 1 and the one command that mends it when no environment can be made.
set -eu
cd "$(dirname "$0")/.."
python=.venv/bin/python

say() { echo "make-venv: $*" >&2; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

with_uv() {
    new_enough $python || uv venv --quiet --clear --python '>=3.11' .venv || return 1
    uv pip install --quiet --python $python --require-hashes -r requirements.lock || return 1
    uv pip install --quiet --python $python --no-deps --no-build-isolation -e .
}

# Debian ships venv without ensurepip until python3-venv is installed, so both are asked for.
can_make_venv() { new_enough "$1" && "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

find_python() {
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        if can_make_venv "$candidate"; then echo "$candidate"; return; fi
    done
    for candidate in python3.13 python3.12 python3.11 python3; do
        if new_enough "$candidate"; then
            say "$candidate cannot make a virtual environment. This mends it:"
            "$candidate" -c 'import sys; print("  sudo apt-get install -y python%d.%d-venv" % sys.version_info[:2])' >&2
            return 1
        fi
    done
    say "Python 3.11 or newer was not found. This mends it:"
    echo "  sudo apt-get install -y python3 python3-venv" >&2
    return 1
}

with_pip() {
    if ! new_enough $python; then
        base=$(find_python) || exit 1
        "$base" -m venv --clear .venv
    fi
    # An environment that uv made has no pip.
    $python -m pip --version >/dev/null 2>&1 || $python -m ensurepip >/dev/null
    $python -m pip install --quiet --require-hashes -r requirements.lock >&2
    $python -m pip install --quiet --no-deps --no-build-isolation -e . >&2
}

say "installing requirements.lock into .venv"
if command -v uv >/dev/null 2>&1; then
    with_uv >&2 || { say "uv failed, using pip"; with_pip; }
else
    with_pip
fi
touch .venv/.installed
