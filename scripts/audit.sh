#!/bin/sh
# Looks for known holes in what is installed, and for secrets that were committed by mistake.
#
# 1. pip-audit asks a public list about every locked package. Without a network nothing can be said: that is told, and
#    is no failure.
# 2. detect-secrets compares what git keeps with .secrets.baseline, which lists what only looks like a secret. After a
#    look at a finding that is none: .venv/bin/detect-secrets scan --baseline .secrets.baseline
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
said=$(mktemp)
trap 'rm -f "$said"' EXIT

status=0
"$bin/pip-audit" --requirement locks/runtime.lock --disable-pip --progress-spinner off --timeout 10 >"$said" 2>&1 ||
    status=$?
if [ "$status" -ne 0 ] && grep -Eqi 'ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|NameResolution|Max retries|ServiceError|Could not (reach|connect)' "$said"; then
    echo "pip-audit: the list of known holes cannot be reached from here; nothing was looked up." >&2
elif [ "$status" -ne 0 ]; then
    cat "$said" >&2
    exit "$status"
else
    # An index that is only a copy knows files, and no holes.
    left_out=$(grep -c 'could not be audited' "$said" || true)
    locked=$(grep -c '==' locks/runtime.lock)
    if [ "$left_out" -gt 0 ]; then
        echo "pip-audit: $left_out of $locked packages are not known to the index used here and were not looked up." >&2
    else
        echo "pip-audit: no known hole in $locked locked packages."
    fi
fi

if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files -z -- . ':!locks' ':!docs/images' ':!.secrets.baseline' |
        xargs -0 "$bin/detect-secrets-hook" --baseline .secrets.baseline
    echo "detect-secrets: nothing new that looks like a secret."
else
    echo "detect-secrets: not a git checkout; nothing was looked for." >&2
fi
