#!/bin/sh
# Install packages of Debian: packages.sh NAME... Safe to run again.
#
# Some of them start services at once; the tests run their own daemons in folders of their own, so a policy
# that forbids every start stands while they are installed.
set -eu

packages=$*
as_root=
[ "$(id -u)" = 0 ] || as_root="sudo"

missing=
for package in $packages; do
    state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi
# A machine that has just started may be updating itself.
wait="-o DPkg::Lock::Timeout=600"
# shellcheck disable=SC2086 # a list of words
$as_root apt-get $wait update --quiet --quiet
# shellcheck disable=SC2086 # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get $wait install --yes --quiet --no-install-recommends $missing
