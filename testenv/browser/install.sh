#!/bin/sh
# Installs Chromium, which Debian has as a package. Done once, it does nothing.
set -eu

command -v chromium >/dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "the tests with a browser need the Debian package chromium, and only root can install it" >&2
	exit 1
fi
echo "installing Debian packages: chromium"
apt-get update -q >/dev/null
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium >/dev/null
