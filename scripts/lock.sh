#!/bin/sh
# Makes both lock files again from pyproject.toml. Pins stay where they are unless told otherwise:
#
#   scripts/lock.sh                             after a change in pyproject.toml
#   scripts/lock.sh --upgrade                   newest versions of everything
#   scripts/lock.sh --upgrade-package redis     newest version of one
set -eu
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    echo "No uv on PATH: installing one for this run." >&2
    "${PYTHON:-python3}" -m venv "$scratch/uv"
    "$scratch/uv/bin/pip" install --quiet --disable-pip-version-check uv
    uv=$scratch/uv/bin/uv
fi

# --universal with the oldest patch release in use: redis needs one more package below Python 3.11.3.
# --no-config and --no-emit-index-url: no index of one machine ends up in a lock that others use.
compile() {
    "$uv" pip compile --no-config --universal --python-version 3.11.2 --generate-hashes --no-emit-index-url \
        --no-header --no-annotate --quiet pyproject.toml "$@"
}

# uv reads the old pins from the output file.
cp locks/runtime.lock locks/dev.lock "$scratch/"
compile --group build -o "$scratch/runtime.lock" "$@"
compile --group dev -c "$scratch/runtime.lock" -o "$scratch/dev.lock" "$@"

if grep -n '://' "$scratch"/*.lock >&2; then
    echo "An address got into a lock file; nothing was changed." >&2
    exit 1
fi
mv "$scratch/runtime.lock" "$scratch/dev.lock" locks/
