#!/usr/bin/env bash
# Fetches the Elasticsearch that pom.xml pins, once, into the user's cache (0.95 GB down, 144 MB kept) and prints where.
# What is missing is said in one line, exit 3. As root on Debian it installs a JDK and Maven (FETCH_APT=0: it does not).
set -euo pipefail
cd "$(dirname "$0")"
export HOME=${HOME:-$(cd ~ && pwd)}
version=$(sed -n 's:.*<es.version>\(.*\)</es.version>.*:\1:p' pom.xml)
home=${XDG_CACHE_HOME:-"$HOME/.cache"}/elasticsearch-for-tests/$version

missing() {
    echo "elasticsearch: $1" >&2
    exit 3
}

apt_install() { # packages...
    [ "${FETCH_APT:-1}" != 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    echo "elasticsearch: installing $*" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
        >/dev/null 2>&1 || true
}

if ! ./jdk.sh >/dev/null; then
    for number in 25 21; do
        ./jdk.sh >/dev/null || apt_install "openjdk-$number-jdk-headless"
    done
    ./jdk.sh >/dev/null || missing "install a JDK of 21 or newer (adoptium.net; Debian 13: apt-get install openjdk-21-jdk-headless) or set ES_JAVA_HOME"
fi
[ -f "$home/.complete" ] && { echo "$home"; exit 0; }
command -v mvn >/dev/null || apt_install maven
command -v mvn >/dev/null || missing "install Maven (maven.apache.org; Debian: apt-get install maven)"

mkdir -p "$(dirname "$home")"
exec 9>"$(dirname "$home")/lock"
flock 9
[ -f "$home/.complete" ] && { echo "$home"; exit 0; } # another fetched it meanwhile
work=$(mktemp -d "$(dirname "$home")/.unpack.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "elasticsearch: fetching $version" >&2
# A repository of its own, so that the large zip does not stay.
JAVA_HOME=$(./jdk.sh) mvn -B -q -Dmaven.repo.local="$work/repo" -Dwork.dir="$work" -f pom.xml process-resources >&2 ||
    missing "fetching it with Maven failed"
source=$(echo "$work"/unpacked/*/elasticsearch)
[ -f "$source/lib/elasticsearch-$version.jar" ] || missing "the pinned archive holds no Elasticsearch $version"
mkdir -p "$source/plugins"
rm -f "$source/lib/tools/server-launcher/server-launcher" # for one kind of CPU; the one in Java is beside it
chmod -R a+rX "$source"
rm -rf "$home"
mv "$source" "$home"
touch "$home/.complete"
echo "$home"
