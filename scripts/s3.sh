#!/usr/bin/env bash
# scripts/s3.sh COMMAND...: runs COMMAND with a real S3 server beside it (ministack, from PyPI) and
# AWS_… and HURTIG_TEST_S3 set to it, and stops the server afterwards. The server listens on
# 127.0.0.1 and keeps its data in a temporary directory. Without Python, COMMAND runs without it.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.5.33

cache=${XDG_CACHE_HOME:-$HOME/.cache}/hurtig/ministack-$version
if [ ! -e "$cache/ready" ]; then
    command -v python3 >/dev/null || { echo "s3: python3 is missing, what needs an S3 server is left out" >&2; exec "$@"; }
    rm -rf "$cache"
    if ! { python3 -m venv "$cache" && "$cache/bin/pip" install --quiet --disable-pip-version-check "ministack==$version"; } >&2; then
        echo "s3: ministack cannot be installed, what needs an S3 server is left out" >&2
        exec "$@"
    fi
    touch "$cache/ready"
fi

data=$(mktemp -d)
server=
stop() {
    # It may not heed SIGTERM.
    [ -n "$server" ] && kill -9 "$server" 2>/dev/null || true
    rm -rf "$data"
}
trap stop EXIT

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
BIND_HOST=127.0.0.1 GATEWAY_PORT=$port S3_PERSIST=1 S3_DATA_DIR=$data "$cache/bin/ministack" >"$data/log" 2>&1 &
server=$!
disown "$server" # its end is no news
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ENDPOINT=http://127.0.0.1:$port AWS_ALLOW_HTTP=true
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
python3 - <<END
import time, urllib.request
base = "http://127.0.0.1:$port"
for _ in range(300):
    try:
        urllib.request.urlopen(base + "/_ministack/health", timeout=2)
        break
    except OSError:
        time.sleep(0.1)
else:
    raise SystemExit("s3: the server does not answer; its log is:\n" + open("$data/log").read())
urllib.request.urlopen(urllib.request.Request(base + "/hurtig-test", method="PUT"), timeout=5)
END
export HURTIG_TEST_S3=s3://hurtig-test/checkpoints
echo "s3: ministack $version answers on 127.0.0.1:$port" >&2
"$@"
