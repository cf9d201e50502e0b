#!/usr/bin/env bash
# The real servers that the tests talk to, in ~/.cache/hurtig (XDG_CACHE_HOME is honoured), each in
# the one version named here.
#
#   scripts/servers.sh install         installs what is missing, says nothing if all is there
#   scripts/servers.sh where NAME      prints where kinesis, kafka, registry, ministack, python, readers, javascript, influxdb,
#                                      questdb, grafana, prometheus or browser is; fails if nowhere
#   scripts/servers.sh run COMMAND...  installs, then runs COMMAND with an S3 server beside it
#
# What cannot be installed is said in one line, and what needs it is left out; with CI set that is
# a failure. Programs (node, Java, Python) come from the system's packages, as in scripts/setup.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
me=servers
. scripts/packages.sh

kinesis_local=0.6.2
kinesalite=3.3.3
kafka=4.1.2
apicurio=2.6.13.Final
ministack=1.5.33
kinesis_agg=1.2.3
boto3=1.44.8
duckdb=2.0.1
pyarrow=26.0.1
deltalake=1.6.6
psycopg=3.3.9
timestream_js=3.1138.0
influxdb=1.6.7
questdb=9.1.0
grafana_schema=13.2.3
typescript=5.9.3
node_types=20.19.0
prometheus=2.42.0
axe=4.11.4

cache=${XDG_CACHE_HOME:-$HOME/.cache}/hurtig
directory() { # NAME
    case $1 in
        kinesis) echo "$cache/kinesis-$kinesis_local-$kinesalite" ;;
        kafka) echo "$cache/kafka-$kafka" ;;
        registry) echo "$cache/apicurio-$apicurio" ;;
        ministack) echo "$cache/ministack-$ministack" ;;
        python) echo "$cache/python-$kinesis_agg-$boto3" ;;
        readers) echo "$cache/readers-$duckdb-$pyarrow-$deltalake-$psycopg" ;;
        javascript) echo "$cache/javascript-$timestream_js" ;;
        influxdb) echo "$cache/influxdb-$influxdb" ;;
        questdb) echo "$cache/questdb-$questdb" ;;
        grafana) echo "$cache/grafana-$grafana_schema-$typescript-$node_types" ;;
        prometheus) echo "$cache/prometheus-$prometheus" ;;
        browser) echo "$cache/browser-$axe" ;;
        *) die "there is no server '$1': kinesis, kafka, registry, ministack, python, readers, javascript, influxdb, questdb, grafana, prometheus or browser" ;;
    esac
}

has_node() { have node && have npm; }
has_java() { have mvn && java17; }
where_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
has_browser() { where_chromium >/dev/null && have chromedriver; }
has_python() { python3 -c 'import ensurepip, venv' 2>/dev/null; }
java17() { # Kafka 4 and Apicurio do not run on less
    local version
    have java || return 1
    version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -1)
    [ "${version:-0}" -ge 17 ]
}

# kinesis-local (resharding, enhanced fan-out) and kinesalite (volume, survives kill -9), from npm.
install_kinesis() { # DIR
    has_node || install_packages "node and npm are" node || return
    npm install --prefix "$1" --no-audit --no-fund --no-update-notifier --loglevel=error \
        "kinesis-local@$kinesis_local" "kinesalite@$kinesalite" >/dev/null
}

# The broker with all it runs on, from Maven Central. It logs by slf4j-simple, to standard error.
install_kafka() { # DIR
    has_java || install_packages "Java 17 and Maven are" kafka || return
    maven_dependency "$1" copy-dependencies -DincludeScope=runtime -DoutputDirectory="$1/lib" <<END
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
END
}

# A schema registry with its data in memory, whole from Maven Central. Later ones want Java 21.
install_registry() { # DIR
    has_java || install_packages "Java 17 and Maven are" kafka || return
    maven_dependency "$1" unpack -Dartifact="io.apicurio:apicurio-registry-app:$apicurio:tar.gz:all" \
        -DoutputDirectory="$1" </dev/null
}

# Runs Maven on a project in DIR, of which standard input says what it depends on.
maven_dependency() { # DIR GOAL OPTION...
    {
        echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        echo '  <groupId>hurtig</groupId><artifactId>server</artifactId><version>1</version><packaging>pom</packaging>'
        cat
        echo '</project>'
    } >"$1/pom.xml"
    local said # Maven writes its errors to standard output, and colours it whatever it is told
    said=$(mvn -B -q -ntp -f "$1/pom.xml" "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:$2" "${@:3}" 2>&1) ||
        { echo "$said" >&2; return 1; }
}

# S3, SQS and the rest of AWS, from PyPI.
install_ministack() { # DIR
    has_python || install_packages "Python with venv is" python || return
    virtual_environment "$1" "ministack==$ministack"
}

# What others have written in Python, for the tests to compare with: the KPL's format, AWS's own client.
install_python() { # DIR
    has_python || install_packages "Python with venv is" python || return
    virtual_environment "$1" "aws_kinesis_agg==$kinesis_agg" six "boto3==$boto3" # it forgets to ask for six
}

# Others that read the lake: DuckDB, pyarrow, Delta Lake's own package, and a client of PostgreSQL.
install_readers() { # DIR
    has_python || install_packages "Python with venv is" python || return
    virtual_environment "$1" "duckdb==$duckdb" "pyarrow==$pyarrow" "deltalake==$deltalake" "psycopg[binary]==$psycopg"
}

# No server: AWS's SDK for JavaScript, from npm.
install_javascript() { # DIR
    has_node || install_packages "node and npm are" node || return
    npm install --prefix "$1" --no-audit --no-fund --no-update-notifier --loglevel=error \
        "@aws-sdk/client-timestream-write@$timestream_js" "@aws-sdk/client-timestream-query@$timestream_js" >/dev/null
}

# Debian's package, unpacked where no root is needed.
install_influxdb() { # DIR
    debian_package "$1" "influxdb=$influxdb*"
}

# One jar, from Maven Central.
install_questdb() { # DIR
    has_java || install_packages "Java 17 and Maven are" kafka || return
    maven_dependency "$1" copy-dependencies -DincludeScope=runtime -DoutputDirectory="$1/lib" <<END
  <dependencies>
    <dependency><groupId>org.questdb</groupId><artifactId>questdb</artifactId><version>$questdb</version></dependency>
  </dependencies>
END
}

# No server: Grafana's own types, which its dashboards are checked against, and TypeScript, from npm.
install_grafana() { # DIR
    has_node || install_packages "node and npm are" node || return
    npm install --prefix "$1" --no-audit --no-fund --no-update-notifier --loglevel=error \
        "@grafana/schema@$grafana_schema" "typescript@$typescript" "@types/node@$node_types" >/dev/null
}

install_prometheus() { # DIR
    debian_package "$1" "prometheus=$prometheus*"
}

# No server: Chromium and what drives it, from the system's packages, and axe, which looks for what shuts people out, from npm.
install_browser() { # DIR
    has_node || install_packages "node and npm are" node || return
    has_browser || install_packages "Chromium and its driver are" browser || return
    ln -s "$(where_chromium)" "$1/chromium" && ln -s "$(command -v chromedriver)" "$1/chromedriver"
    npm install --prefix "$1" --no-audit --no-fund --no-update-notifier --loglevel=error "axe-core@$axe" >/dev/null
}

# Unpacks a package of Debian's or Ubuntu's below DIR.
debian_package() { # DIR NAME=VERSION
    if ! have apt-get || ! have dpkg; then
        echo "$me: ${2%%=*} comes as a package of Debian's or Ubuntu's, which this is not" >&2
        return 1
    fi
    (
        cd "$1"
        # A machine that has just been set up knows of no packages yet.
        apt-get download -qq "$2" >/dev/null 2>&1 || { is_root && apt-get update -qq >&2 && apt-get download -qq "$2"; }
    ) >&2 || return
    dpkg -x "$1"/*.deb "$1" && rm "$1"/*.deb
}

virtual_environment() { # DIR PACKAGE...
    { python3 -m venv "$1" && "$1/bin/pip" install --quiet --disable-pip-version-check "${@:2}"; } >&2
}

what_needs() { # NAME
    case $1 in
        kinesis) echo "the tests against Kinesis" ;;
        kafka) echo "the tests against Kafka" ;;
        registry) echo "the tests against a schema registry" ;;
        ministack) echo "the tests against S3 and SQS" ;;
        python) echo "comparisons with programs in Python" ;;
        readers) echo "comparisons with others that read the lake" ;;
        javascript) echo "the test with AWS's SDK for JavaScript" ;;
        influxdb) echo "the tests against InfluxDB" ;;
        questdb) echo "the tests against QuestDB" ;;
        grafana) echo "the tests of Grafana's dashboards" ;;
        prometheus) echo "the test of what Prometheus sees of a job" ;;
        browser) echo "the tests of the view in a browser" ;;
    esac
}

# Whether what it needs of the system is there still: the cache may outlive it.
runs() { # NAME DIR
    case $1 in
        kinesis | javascript | grafana) has_node ;;
        kafka | registry | questdb) has_java ;;
        python | readers | ministack) "$2/bin/python" -c '' 2>/dev/null ;;
        browser) [ -x "$2/chromium" ] && [ -x "$2/chromedriver" ] ;;
    esac
}

install() { # NAME
    local dir
    dir=$(directory "$1")
    [ -e "$dir/ready" ] && runs "$1" "$dir" && return
    echo "$me: installing $1 in $dir" >&2
    rm -rf "$dir"
    mkdir -p "$dir"
    if "install_$1" "$dir"; then
        touch "$dir/ready"
        return
    fi
    rm -rf "$dir"
    if [ -n "${CI:-}" ]; then die "$1 could not be installed, which $(what_needs "$1") need"; fi
    echo "$me: $1 could not be installed: $(what_needs "$1") are left out" >&2
}

install_all() {
    mkdir -p "$cache"
    # Two clones may want the same at the same time.
    if have flock; then
        exec 9>"$cache/servers.lock"
        flock 9
    fi
    install kinesis
    install kafka
    install registry
    install ministack
    install python
    install readers
    install javascript
    install influxdb
    install questdb
    install grafana
    install prometheus
    install browser
    exec 9>&-
}

# Runs a command with AWS_… and HURTIG_TEST_S3 set to an S3 server, which ends with it. It listens
# on 127.0.0.1 and keeps its data in a temporary directory.
run() { # COMMAND...
    local dir port
    dir=$(directory ministack)
    [ -e "$dir/ready" ] || exec "$@"
    data=$(mktemp -d)
    server=
    # It may not heed SIGTERM.
    trap '[ -n "$server" ] && kill -9 "$server" 2>/dev/null; rm -rf "$data"' EXIT
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    BIND_HOST=127.0.0.1 GATEWAY_PORT=$port S3_PERSIST=1 S3_DATA_DIR=$data "$dir/bin/ministack" >"$data/log" 2>&1 &
    server=$!
    disown "$server" # its end is no news
    export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ENDPOINT=http://127.0.0.1:$port AWS_ALLOW_HTTP=true
    export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
    python3 - <<END
import time, urllib.request
base = "http://127.0.0.1:$port"
for _ in range(300):
    try:
        urllib.request.urlopen(base + "/_ministack/health", timeout=2)
        break
    except OSError:
        time.sleep(0.1)
else:
    raise SystemExit("servers: ministack does not answer; its log is:\n" + open("$data/log").read())
urllib.request.urlopen(urllib.request.Request(base + "/hurtig-test", method="PUT"), timeout=5)
END
    export HURTIG_TEST_S3=s3://hurtig-test/checkpoints
    echo "$me: ministack $ministack answers on 127.0.0.1:$port" >&2
    "$@"
}

case "${1:-}" in
    install) install_all ;;
    where)
        dir=$(directory "${2:-}")
        [ -e "$dir/ready" ] || die "$2 is not installed: run 'scripts/servers.sh install'"
        echo "$dir"
        ;;
    run)
        shift
        install_all
        run "$@"
        ;;
    *) die "scripts/servers.sh install | where NAME | run COMMAND..." ;;
esac
