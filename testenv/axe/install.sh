#!/bin/sh
# Installs the npm package axe-core into a directory of tools: install.sh DIRECTORY, by
# the machine's own npm settings. Done once, it does nothing.
#
# npm is needed; root on Debian gets it as a package.
set -eu
version=4.10.3
tools=${1:?usage: install.sh DIRECTORY}
home=$tools/axe-core-$version

[ -e "$home/ok" ] && exit 0
if ! command -v npm >/dev/null; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "axe-core needs npm, and only root can install it" >&2
		exit 1
	fi
	echo "installing Debian packages: npm"
	apt-get update -q >/dev/null
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends nodejs npm >/dev/null
fi

# Beside its place, so that the last step is a rename: two installations at the
# same time do each other no harm.
echo "installing axe-core $version"
mkdir -p "$tools"
new=$(mktemp -d "$tools/.axe-core.XXXXXX")
trap 'rm -rf "$new"' EXIT
npm install --prefix "$new" --no-package-lock --no-audit --no-fund --ignore-scripts --silent "axe-core@$version"
touch "$new/ok"
[ -e "$home/ok" ] && exit 0
rm -rf "$home"
mv "$new" "$home"
