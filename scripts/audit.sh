#!/bin/sh
# Looks for known holes in what is installed, and for secrets that were committed by mistake.
#
# 1. pip-audit asks a public list about every locked package. Without a network nothing can be said: that is told, and
#    is no failure.
# 2. detect-secrets compares what git keeps, or would keep, with .secrets.baseline, which lists what only looks like a
#    secret. After a look at a finding that is none: .venv/bin/detect-secrets scan --baseline .secrets.baseline
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
said=$(mktemp)
baseline=$(mktemp)
trap 'rm -f "$said" "$baseline"' EXIT

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
    # Against a copy: the hook would write numbers of lines that have moved into the file, and end with 3.
    cp .secrets.baseline "$baseline"
    status=0
    # shellcheck disable=SC2016
    git ls-files -z --cached --others --exclude-standard -- . ':!locks' ':!docs/images' ':!.secrets.baseline' |
        xargs -0 sh -c '"$0" --baseline "$@" || [ $? -eq 3 ]' "$bin/detect-secrets-hook" "$baseline" \
            >"$said" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then
        cat "$said" >&2
        echo "detect-secrets: take the secret out and make a new one, for this one is known now. If it is none, add it" \
            "to the list: .venv/bin/detect-secrets scan --baseline .secrets.baseline" >&2
        exit 1
    fi
    echo "detect-secrets: nothing new that looks like a secret."
else
    echo "detect-secrets: not a git checkout; nothing was looked for." >&2
fi
