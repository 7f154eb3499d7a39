#!/bin/sh
# Installs Debian's Chromium for the page tests, unless one is there. Asks nothing.
set -eu

if command -v chromium >/dev/null; then
    echo "Chromium is there: $(command -v chromium)"
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "No apt-get here. Install Chromium by hand so that 'chromium' is on PATH, then run this again." >&2
    exit 1
fi

as_root=
if [ "$(id -u)" != 0 ]; then
    # -n: a password prompt would hang a run that nobody watches.
    if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
        echo "Chromium needs root to install. Run: sudo apt-get install chromium" >&2
        exit 1
    fi
    as_root="sudo -n"
fi

apt() {
    # The timeout waits for another apt run, such as a machine's own nightly one.
    $as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get -y -q -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# One broken package source elsewhere must not stop the install.
apt update || echo "apt-get update reported errors; trying the install all the same." >&2
if ! apt install --no-install-recommends chromium; then
    echo "Could not install Chromium. The page tests need 'chromium' on PATH." >&2
    exit 1
fi
