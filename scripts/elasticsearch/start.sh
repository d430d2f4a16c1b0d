#!/usr/bin/env bash
# Starts one node: `start.sh PORT FOLDER`. It listens on 127.0.0.1:PORT, keeps all it has in FOLDER, and has answered
# when this returns; `stop.sh FOLDER` ends it. ES_HEAP (512m) is its memory, ES_WAIT (180) how many seconds it may take,
# ES_FLAGS how its JVM compiles and collects (as below; `-XX:+UseG1GC`: as in production).
# ES_SECURE names a folder with key.pem, certificate.pem, users, users_roles and roles.yml: then it speaks https and asks
# who is there.
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: $0 PORT FOLDER" >&2; exit 2; }
scripts=$(cd "$(dirname "$0")" && pwd)
home=$("$scripts/fetch.sh")
jdk=$("$scripts/jdk.sh")
port=$1 heap=${ES_HEAP:-512m}
mkdir -p "$2"
folder=$(cd "$2" && pwd)
[ ! -e "$folder/pid" ] || { echo "elasticsearch: $folder has a node already" >&2; exit 1; }

mkdir -p "$folder"/{config,data,logs,tmp}
cp "$home/config/log4j2.properties" "$folder/config/"
# A node of tests: quick to start and small, slower under load.
grep -v -e Xlog:gc -e HeapDumpOnOutOfMemoryError -e UseG1GC "$home/config/jvm.options" >"$folder/config/jvm.options"
cat >"$folder/config/elasticsearch.yml" <<YAML
cluster.name: tests
network.host: 127.0.0.1
http.port: $port
transport.port: 0
discovery.type: single-node
path.data: $folder/data
path.logs: $folder/logs
cluster.routing.allocation.disk.threshold_enabled: false
YAML
if [ -n "${ES_SECURE:-}" ]; then
    cp "$ES_SECURE"/* "$folder/config/"
    cat >>"$folder/config/elasticsearch.yml" <<YAML
xpack.security.enabled: true
xpack.security.authc.realms.file.file.order: 0
xpack.security.http.ssl: {enabled: true, key: key.pem, certificate: certificate.pem}
YAML
    answers() { curl -sk --max-time 5 -o /dev/null "https://127.0.0.1:$port/"; } # 401: who waits for it has a user
else
    echo "xpack.security.enabled: false" >>"$folder/config/elasticsearch.yml"
    answers() {
        curl -s --max-time 5 "http://127.0.0.1:$port/_cluster/health" | grep -e '"status":"green"' -e '"status":"yellow"' >/dev/null
    }
fi

as_user=()
if [ "$(id -u)" = 0 ]; then # the server refuses root
    if unshare -U --map-user=1000 --map-group=1000 true 2>/dev/null; then
        as_user=(unshare -U --map-user=1000 --map-group=1000)
    else
        chown -R nobody "$folder"
        as_user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
    fi
fi

(
    cd "$home"
    unset JAVA_TOOL_OPTIONS _JAVA_OPTIONS JAVA_HOME JAVA_OPTS
    export JAVA="$jdk/bin/java" JAVA_TYPE=ES_JAVA_HOME ES_HOME="$home" ES_PATH_CONF="$folder/config"
    export ES_DISTRIBUTION_TYPE=zip ES_TMPDIR="$folder/tmp" HOSTNAME="${HOSTNAME:-localhost}"
    export ES_JAVA_OPTS="-Xms$heap -Xmx$heap -XX:-AlwaysPreTouch ${ES_FLAGS:--XX:+UseSerialGC -XX:TieredStopAtLevel=1}"
    exec setsid "${as_user[@]}" "$JAVA" -Xms4m -Xmx64m -XX:+UseSerialGC -cp "$home/lib/tools/server-launcher/*" \
        org.elasticsearch.server.launcher.ServerLauncher </dev/null >"$folder/output" 2>&1
) &
echo $! >"$folder/pid"

until answers; do
    if [ "$SECONDS" -ge "${ES_WAIT:-180}" ] || ! kill -0 "$(cat "$folder/pid")" 2>/dev/null; then
        tail -20 "$folder/output" >&2
        "$scripts/stop.sh" "$folder"
        echo "elasticsearch: it did not start" >&2
        exit 1
    fi
    sleep 0.3
done
