#!/bin/sh
# Installs Postgres, which Debian has as a package. Done once, it does nothing. Debian
# would start a server of its own with it, which nobody here needs.
set -eu

command -v initdb >/dev/null && exit 0
for dir in /usr/lib/postgresql/*/bin; do
	[ -x "$dir/initdb" ] && exit 0
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "the tests with Postgres need the Debian package postgresql, and only root can install it" >&2
	exit 1
fi
echo "installing Debian packages: postgresql"
apt-get update -q >/dev/null
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql >/dev/null
