#!/bin/sh
# Installs Keycloak into a directory of tools: install.sh DIRECTORY. It comes as
# a Maven artifact, by the machine's own Maven settings, and is built for a quick
# start with a database in memory. Done once, it does nothing.
#
# Java 17 or newer and Maven are needed; root on Debian gets them as packages.
set -eu
version=26.4.0
sum=1b6a11a2726ac8a8dc9c91d5fafe989a75ce4f1622d7f7b45c21d5bc16629c0a
tools=${1:?usage: install.sh DIRECTORY}
home=$tools/keycloak-$version

packages=
command -v java >/dev/null || packages=openjdk-17-jre-headless
if [ ! -e "$home/ok" ]; then
	command -v mvn >/dev/null || packages="$packages maven"
	command -v python3 >/dev/null || packages="$packages python3"
fi
if [ -n "$packages" ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "Keycloak needs what these Debian packages bring, and only root can install them:" $packages >&2
		exit 1
	fi
	echo "installing Debian packages:" $packages
	apt-get update -q >/dev/null
	# shellcheck disable=SC2086 # they are several
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages >/dev/null
fi
major=$(java -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p')
if [ "${major:-0}" -lt 17 ]; then
	echo "Keycloak needs Java 17 or newer, and java is version ${major:-unknown}" >&2
	exit 1
fi
[ -e "$home/ok" ] && exit 0

# In the directory of tools, so that the last step is a rename: two installations
# at the same time do each other no harm.
echo "installing Keycloak $version"
mkdir -p "$tools"
work=$(mktemp -d "$tools/.keycloak.XXXXXX")
trap 'rm -rf "$work"' EXIT
mvn -q -B -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
	-Dartifact=org.keycloak:keycloak-quarkus-dist:$version:zip -DoutputDirectory="$work"
zip=$work/keycloak-quarkus-dist-$version.zip
echo "$sum  $zip" | sha256sum -c - >/dev/null
python3 -m zipfile -e "$zip" "$work"
new=$work/keycloak-$version
chmod +x "$new"/bin/*.sh
"$new/bin/kc.sh" build --db=dev-mem --health-enabled=true >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
touch "$new/ok"
[ -e "$home/ok" ] && exit 0
rm -rf "$home"
mv "$new" "$home"
