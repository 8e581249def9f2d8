#!/bin/sh
# Unpack programs of another release of Debian into a folder, with all that they need and nothing installed:
# debian-suite.sh SUITE FOLDER PACKAGE...
#
# The mirror and its keys are those of this machine's apt; indexes and packages stay in a folder of our own. No
# script of a package is run. What comes out is a whole /usr, to be mounted over this machine's in a namespace of
# the program's own (see newer.py). Needs Debian, no root.
set -eu

suite=$1
target=$2
shift 2

codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v release="$codename" '$2 == release && $3 == "main" { print $1; exit }')
if [ -z "$mirror" ]; then
    echo "debian-suite: apt names no mirror of Debian's $codename" >&2
    exit 1
fi

mkdir -p "$(dirname "$target")"
draft=$(cd "$(mktemp -d "$target.XXXXXX")" && pwd)
trap 'rm -rf "$draft"' EXIT
mkdir -p "$draft/empty" "$draft/state/lists/partial" "$draft/cache/archives/partial" "$draft/root"
: >"$draft/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$draft/sources.list"

ours() {
    apt-get --quiet --quiet --option Dir::Etc::SourceList="$draft/sources.list" \
        --option Dir::Etc::SourceParts="$draft/empty" --option Dir::Etc::PreferencesParts="$draft/empty" \
        --option Dir::Etc::Preferences="$draft/none" --option Dir::State="$draft/state" \
        --option Dir::State::status="$draft/status" --option Dir::Cache="$draft/cache" \
        --option Acquire::Languages=none --option APT::Sandbox::User="$(id -un)" "$@"
}

ours update
ours install --yes --no-install-recommends --download-only "$@"
for package in "$draft"/cache/archives/*.deb; do
    dpkg-deb --extract "$package" "$draft/root"
done
rm -rf "$target"
mkdir "$draft/whole"
mv "$draft/root/usr" "$draft/whole/"
mv "$draft/whole" "$target"
