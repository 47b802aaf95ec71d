# For the scripts that run Java from this checkout: finding a JDK, building once. Source it with $root set to the checkout.

is_jdk25() {
    [ -x "$1/bin/java" ] && "$1/bin/java" -version 2>&1 | head -n 1 | grep -qE '"(2[5-9]|[3-9][0-9])'
}

# Prints the home of a JDK 25 or newer.
find_jdk() {
    local on_path home
    on_path="$(command -v java || true)"
    [ -z "$on_path" ] || on_path="$(dirname "$(dirname "$(readlink -f "$on_path")")")"
    for home in "${JAVA_HOME:-}" "$on_path" /usr/lib/jvm/* /Library/Java/JavaVirtualMachines/*/Contents/Home \
        "$HOME"/.sdkman/candidates/java/* "$HOME"/.jdks/*; do
        if [ -n "$home" ] && is_jdk25 "$home"; then
            echo "$home"
            return
        fi
    done
    echo "$(basename "$0"): no JDK 25 or newer found; install one or set JAVA_HOME to it" >&2
    return 1
}

is_built() {
    [ -d "$1" ] && [ -z "$(find "$root" -newer "$1" \( -path '*/src/main/*' -o -name pom.xml \) -type f -not -path '*/target/*' -print -quit)" ]
}

# Builds module $1 unless its target/app is newer than all sources. Two runs at once build one after the other.
build_once() {
    local module="$1" app="$root/$1/target/app" log
    is_built "$app" && return
    (
        if command -v flock >/dev/null; then
            exec 9<"$root/pom.xml"
            flock 9
        fi
        is_built "$app" && exit
        echo "$(basename "$0"): building, once" >&2
        log="$(mktemp)"
        if ! (cd "$root" && mvn -B -q -ntp -DskipTests -pl "$module" -am package) >"$log" 2>&1; then
            cat "$log" >&2
            exit 1
        fi
        rm -f "$log"
        touch "$app"
    )
}
