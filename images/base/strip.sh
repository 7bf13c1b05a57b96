#!/bin/sh
# Removes from a fresh root what installs and configures packages, and what lets a user become root: the
# service does not need it, and an intruder could use it. The list of packages stays, for scanners and SBOM.
#
# usage: strip.sh ROOT     (a customize hook of mmdebstrap)
set -eu
root=${1:?usage: strip.sh ROOT}
installed() {
  chroot "$root" dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "$@" | sed -n 's/^installed //p'
}
purge() {
  chroot "$root" dpkg --purge --force-depends --force-remove-essential --force-remove-protected "$@" >&2
}
purge $(installed '*perl*' 'usrmerge*' apt debconf)
purge dpkg
# What only debconf read, and time zones counted with leap seconds, which no program here asks for.
rm -rf "$root"/var/cache/debconf/* "$root/usr/share/zoneinfo/right"
find "$root" -xdev -type f -perm /6000 -exec chmod ug-s {} +
