#!/bin/sh
# Installs the npm package oidc-provider into a directory of tools: install.sh
# DIRECTORY, by the machine's own npm settings. Done once, it does nothing.
#
# Node.js 18 or newer and npm are needed; root on Debian gets them as packages.
set -eu
version=8.8.1 # the last that runs on Node.js 18 and 20
tools=${1:?usage: install.sh DIRECTORY}
home=$tools/oidc-provider-$version

packages=
command -v node >/dev/null || packages=nodejs
[ -e "$home/ok" ] || command -v npm >/dev/null || packages="$packages npm"
if [ -n "$packages" ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "oidc-provider needs what these Debian packages bring, and only root can install them:" $packages >&2
		exit 1
	fi
	echo "installing Debian packages:" $packages
	apt-get update -q >/dev/null
	# shellcheck disable=SC2086 # they are several
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages >/dev/null
fi
major=$(node --version | sed -n 's/^v\([0-9]*\).*/\1/p')
if [ "${major:-0}" -lt 18 ]; then
	echo "oidc-provider needs Node.js 18 or newer, and node is version ${major:-unknown}" >&2
	exit 1
fi
[ -e "$home/ok" ] && exit 0

# Beside its place, so that the last step is a rename: two installations at the
# same time do each other no harm.
echo "installing oidc-provider $version"
mkdir -p "$tools"
new=$(mktemp -d "$tools/.oidc-provider.XXXXXX")
trap 'rm -rf "$new"' EXIT
npm install --prefix "$new" --no-package-lock --no-audit --no-fund --ignore-scripts --silent "oidc-provider@$version"
touch "$new/ok"
[ -e "$home/ok" ] && exit 0
rm -rf "$home"
mv "$new" "$home"
