# For the scripts that run Java from this checkout: finding a JDK, building once. Source it with $root set to the checkout.

# Java and Maven separate paths by colons: a checkout with one in its path is reached through a link without.
if [[ "$root" == *:* ]]; then
    home=~
    cache="$home/.cache"
    [[ "${XDG_CACHE_HOME:-}" != /* ]] || cache="$XDG_CACHE_HOME"
    link="$cache/invadapter/checkout-$(cksum <<<"$root" | cut -d ' ' -f 1)"
    if [[ "$link" == *:* ]] || ! mkdir -p "$(dirname "$link")" || ! { [ "$link" -ef "$root" ] || ln -sfn "$root" "$link"; }; then
        echo "$(basename "$0"): $root: Java reads no path with a colon, and no link to it can be made as $link" >&2
        exit 1
    fi
    root="$link"
fi

# Without a UTF-8 locale (cron, containers) Java reads the command line and the names of files as ASCII. Other encodings it knows.
case "$(locale charmap 2>/dev/null || true)" in
    '' | ANSI_X3.4-1968 | US-ASCII) export LC_ALL=C.UTF-8 ;;
esac

is_jdk25() {
    [ -x "$1/bin/java" ] || return
    # Java itself is asked only where the file is missing: it takes longer, and what the environment has it print comes first.
    if [ -f "$1/release" ]; then
        grep '^JAVA_VERSION=' "$1/release"
    else
        env -u JAVA_TOOL_OPTIONS -u JDK_JAVA_OPTIONS -u _JAVA_OPTIONS "$1/bin/java" -version 2>&1
    fi | grep -qE '(JAVA_VERSION=|version )"(2[5-9]|[3-9][0-9]|[1-9][0-9]{2,})[".+-]'
}

# Prints the home of a JDK 25 or newer.
find_jdk() {
    local on_path home user=~
    on_path="$(command -v java || true)"
    [ -z "$on_path" ] || on_path="$(dirname "$(dirname "$(readlink -f "$on_path")")")"
    for home in "${JAVA_HOME:-}" "$on_path" /usr/lib/jvm/* /Library/Java/JavaVirtualMachines/*/Contents/Home \
        "$user"/.sdkman/candidates/java/* "$user"/.jdks/*; do
        if [ -n "$home" ] && is_jdk25 "$home"; then
            echo "$home"
            return
        fi
    done
    echo "$(basename "$0"): no JDK 25 or newer found; install one or set JAVA_HOME to it" >&2
    return 1
}

# A build that was ended in between leaves its mark, $1.unfinished.
is_built() {
    # Where few files may be open not all can be looked at; what is built is then taken as it is.
    [ -d "$1" ] && [ ! -e "$1.unfinished" ] \
        && [ -z "$(find "$root/" -newer "$1" \( -path '*/src/main/*' -o -name pom.xml \) -type f -not -path '*/target/*' -print -quit 2>/dev/null)" ]
}

# Builds module $1 unless its target/app is newer than all sources. Two runs at once build one after the other.
build_once() {
    local module="$1" app="$root/$1/target/app" log
    is_built "$app" && return
    # Maven's Java ends in an orderly way, by which bash does not see what it was.
    trap 'exit 130' INT
    trap 'exit 143' TERM
    (
        if command -v flock >/dev/null; then
            exec 9<"$root/pom.xml"
            flock 9
        fi
        is_built "$app" && exit
        echo "$(basename "$0"): building, once" >&2
        mkdir -p "$root/$module/target"
        : >"$app.unfinished"
        log="$(mktemp)"
        trap 'rm -f "$log"; exit 130' INT
        trap 'rm -f "$log"; exit 143' TERM
        if ! mvn -B -q -ntp -DskipTests -f "$root/pom.xml" -pl "$module" -am package </dev/null >"$log" 2>&1; then
            cat "$log" >&2
            rm -f "$log"
            exit 1
        fi
        rm -f "$log" "$app.unfinished"
        touch "$app"
    )
    trap - INT TERM
}
