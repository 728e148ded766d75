#!/bin/sh
# Installs Keycloak into the tools directory: install.sh DIRECTORY. It comes as a
# Maven artifact, by the machine's own Maven settings. Needs Java 17 or newer and
# Maven, which are installed as Debian packages when the user is root.
set -eu
version=26.4.0
tools=${1:?usage: install.sh DIRECTORY}
home=$tools/keycloak-$version
[ -e "$home/ok" ] && exit 0

missing=
command -v java >/dev/null || missing="openjdk-17-jre-headless"
command -v mvn >/dev/null || missing="$missing maven"
if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "Keycloak needs $missing, which only root can install here" >&2
		exit 1
	fi
	echo "installing the Debian packages $missing"
	apt-get update -q >/dev/null
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
fi

echo "fetching Keycloak $version"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
	-Dartifact=org.keycloak:keycloak-quarkus-dist:$version:zip -DoutputDirectory="$work"
python3 -m zipfile -e "$work/keycloak-quarkus-dist-$version.zip" "$work"
chmod +x "$work/keycloak-$version"/bin/*.sh
rm -rf "$home"
mkdir -p "$tools"
mv "$work/keycloak-$version" "$home"
"$home/bin/kc.sh" build --db=dev-mem --health-enabled=true >/dev/null
touch "$home/ok"
