#!/bin/sh
# Bootstraps the base image from Debian packages with mmdebstrap: no container registry needed.
#
# usage: build.sh TAG [SUITE]
#   APT_MIRROR   mirror to take packages from (default: mmdebstrap's own for the suite)
#   http_proxy, https_proxy   are honoured by apt
set -eu
tag=${1:?usage: build.sh TAG [SUITE]}
suite=${2:-bookworm}
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)

if ! command -v mmdebstrap >/dev/null 2>&1; then
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "error: no mmdebstrap on this host and no apt-get to install it with: build on a Debian or Ubuntu host (ppocr_image_builder), or name an image in ppocr_image_base" >&2
    exit 3
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap debian-archive-keyring
fi

root=$(mktemp -d "${TMPDIR:-/var/tmp}/ppocr-base.XXXXXX")
trap 'rm -rf "$root"' EXIT INT TERM
include=$(grep -v '^#' "$here/packages.txt" | paste -sd, -)

# Nothing a service needs is left out: documentation and translations, and what strip.sh names.
mmdebstrap --quiet --mode=root --variant=minbase --include="$include" \
  --customize-hook="'$here/strip.sh' \"\$1\"" \
  --aptopt='Acquire::Retries "3"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/lintian/*' \
  "$suite" "$root/root.tar" ${APT_MIRROR:+"$APT_MIRROR"}

docker import \
  -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
  -c 'ENV LANG=C.UTF-8' \
  -c 'LABEL org.ppocr.haproxy=yes' \
  -c 'CMD ["/bin/sh"]' \
  "$root/root.tar" "$tag" >/dev/null
echo "$tag"
