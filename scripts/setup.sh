#!/bin/sh
# Builds or refreshes .venv from a lock file.
#
#   scripts/setup.sh runtime    what the product needs
#   scripts/setup.sh dev        that, and the tools for tests and lint
#
# 1. When .venv already matches, stop: no pip, no Python.
# 2. Take the lock, so that two runs do not write into one environment.
# 3. Keep the environment if only packages are missing; else empty it and make it anew.
# 4. Install from the lock, then the project itself as an editable install.
# 5. Write the record that step 1 reads. It comes last: without it an environment counts as half-built.
#
# PYTHON=... chooses the interpreter.
set -eu

kind=${1:-runtime}
case $kind in
runtime | dev) ;;
*)
    echo "usage: scripts/setup.sh [runtime|dev]" >&2
    exit 2
    ;;
esac

cd "$(dirname "$0")/.."
root=$(pwd -P)
record=.venv/.setup
log=.venv/setup.log
pid=

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

# ---------------------------------------------------------------- what is there, and does it match

# The record holds copies of what .venv was made from, so "has it changed?" needs only cmp.
# Scripts in .venv carry absolute paths: the record names the checkout, and a moved one does not match.
# The interpreter's real path shows when python3 starts to mean another version.
describe_base() {
    printf 'checkout %s\npython %s\nreal %s\n' "$root" "$1" "$(readlink -f .venv/bin/python 2>/dev/null)"
    cat locks/runtime.lock 2>/dev/null
}

chosen_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" || true
    else
        sed -n 's/^python //p;2q' "$record/base"
    fi
}

base_matches() {
    [ -f "$record/base" ] && [ -x .venv/bin/python ] && describe_base "$(chosen_python)" | cmp -s - "$record/base"
}

dev_matches() { cmp -s locks/dev.lock "$record/dev.lock"; }

is_ready() {
    base_matches && cmp -s pyproject.toml "$record/pyproject.toml" && [ -x .venv/bin/bursar ] &&
        { [ "$kind" = runtime ] || dev_matches; }
}

# A dropped or older package would linger in an environment made from another lock.
is_extendable() { base_matches && { [ ! -e "$record/dev.lock" ] || dev_matches; }; }

# ---------------------------------------------------------------- the interpreter

# Prints the base interpreter: inside an active .venv, python3 is the very thing about to be removed.
usable_python='
import sys
if sys.version_info < (3, 11) or sys.implementation.name != "cpython":
    sys.exit(3)
try:
    import ensurepip, venv
except ImportError:
    print("python%d.%d-venv" % sys.version_info[:2])
    sys.exit(4)
print(getattr(sys, "_base_executable", None) or sys.executable)
'

# Sets $python to what goes into the record and $base_python to what makes the environment.
find_python() {
    missing_package=
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3 python3.14 python3.13 python3.12 python3.11
    fi
    for name in "$@"; do
        python=$(command -v "$name") || continue
        status=0
        base_python=$("$python" -I -c "$usable_python" 2>/dev/null) || status=$?
        case $status in
        0) return ;;
        4) missing_package=${missing_package:-$base_python} ;;
        esac
    done
    if [ -n "$missing_package" ]; then
        fail "Python's venv module is not installed. On Debian or Ubuntu: sudo apt-get install $missing_package"
    elif [ -n "${PYTHON:-}" ]; then
        fail "PYTHON=$PYTHON is not a CPython 3.11 or newer that runs here."
    fi
    fail "No Python 3.11 or newer found. Install one, or name it: make setup PYTHON=/path/to/python3"
}

# ---------------------------------------------------------------- installing

show_progress() {
    while sleep 1 && kill -0 $$ 2>/dev/null; do
        done_count=$(grep -c '^Collecting ' "$log") || true
        if grep -q '^Installing collected' "$log"; then
            printf '\r  downloaded, now unpacking    '
        else
            printf '\r  %s of about %s packages ' "$done_count" "$1"
        fi >&2
    done
}

stop_progress() {
    [ -n "$pid" ] || return 0
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    pid=
    printf '\r                               \r' >&2
}

# -I: neither PYTHONPATH nor the folders of this checkout may stand in for an installed package.
# PIP_USER: a personal pip setting that no virtual environment accepts.
pip() { PIP_USER=0 .venv/bin/python -I -m pip --disable-pip-version-check --no-input "$@" >>"$log" 2>&1; }

explain_failure() {
    stop_progress
    if grep -Eqi 'NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|connection (refused|reset|aborted)|network is unreachable' "$log"; then
        # pip downloads everything before it changes anything: what was there still works.
        [ ! -d "$record.old" ] || mv "$record.old" "$record"
        fail "Could not download the packages: no network? Check the connection or the proxy, then run the same command again. (Details: $log)"
    elif grep -q 'No space left on device' "$log"; then
        fail "Could not install the packages: the disk is full. (Details: $log)"
    fi
    grep '^ERROR' "$log" | tail -n 3 | cut -c 1-300 >&2 || true
    fail "Could not install the packages. The whole story is in $log"
}

install_packages() {
    lock=locks/$kind.lock
    : >"$log"
    if [ -t 2 ]; then
        show_progress "$(grep -c '==' "$lock")" &
        pid=$!
    fi
    pip install --require-hashes --only-binary :all: --no-compile --progress-bar off -r "$lock" || explain_failure
    pip install --no-deps --no-build-isolation --no-index -e . || explain_failure
    # pip would compile on one core, and that would be half of its time. Some files are samples that cannot compile.
    .venv/bin/python -I -m compileall -q -j 4 .venv/lib >>"$log" 2>&1 || true
    stop_progress
}

# ---------------------------------------------------------------- the steps

is_ready && exit 0

# The kernel drops this lock when the last holder ends, however it ends. `flock` is not everywhere, Python is.
find_python
mkdir -p .venv
exec 9>>.venv/.setup.lock
take_lock='import fcntl, sys; fcntl.flock(9, fcntl.LOCK_EX | (fcntl.LOCK_NB if sys.argv[1:] else 0))'
if ! "$base_python" -I -c "$take_lock" try 2>/dev/null; then
    say "Another set-up is at work here; waiting for it."
    "$base_python" -I -c "$take_lock"
    if is_ready; then exit 0; fi
fi

trap stop_progress EXIT
trap 'stop_progress; say "Stopped. The next run starts over."; exit 130' INT
trap 'exit 143' TERM

if is_extendable; then
    python=$(chosen_python)
    if [ -e "$record/dev.lock" ]; then
        kind=dev
        say "Bringing .venv up to date: a few seconds."
    elif [ "$kind" = dev ]; then
        say "Adding the tools for tests and lint to .venv: usually less than a minute."
    else
        say "Bringing .venv up to date: a few seconds."
    fi
    mv "$record" "$record.old"
else
    say "Making .venv with $base_python and installing $(grep -c '==' "locks/$kind.lock") packages: usually one to two minutes, once."
    find .venv/ -mindepth 1 -maxdepth 1 ! -name .setup.lock -exec rm -rf {} +
    "$base_python" -I -m venv .venv >"$log" 2>&1 || fail "Could not make the environment. The whole story is in $log"
fi

install_packages

rm -rf "$record.old"
mkdir "$record"
cp pyproject.toml "$record/"
[ "$kind" = runtime ] || cp locks/dev.lock "$record/"
describe_base "$python" >"$record/base.new"
mv "$record/base.new" "$record/base"
say "Ready."
