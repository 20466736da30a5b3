# ./demo outdated: what docs/dependencies.tsv lists, beside what the registries have. Each is asked by its own tool, as that is set up
# on this machine. Sourced by demo.
# shellcheck shell=bash

VERSIONS_PLUGIN=org.codehaus.mojo:versions-maven-plugin:2.18.0

rows_of() { grep -P "^$1\t" "$ROOT/docs/dependencies.tsv" | cut -f 2,3; } # rows_of REGISTRY: name, version

# Each prints a line for what it got an answer about: name, newest version.
newest_maven() {
    local pom name version
    pom=$(mktemp -d)
    {
        echo '<project><modelVersion>4.0.0</modelVersion><groupId>insideout</groupId><artifactId>outdated</artifactId><version>1</version>'
        echo '<packaging>pom</packaging><dependencies>'
        while IFS=$'\t' read -r name version; do
            echo "<dependency><groupId>${name%:*}</groupId><artifactId>${name#*:}</artifactId><version>$version</version></dependency>"
        done < <(rows_of maven)
        echo '</dependencies></project>'
    } >"$pom/pom.xml"
    # It names the newer ones and, on request, those that are the newest; a long name has its versions on the next line.
    mvn -B -ntp -U -Dstyle.color=never -f "$pom/pom.xml" "$VERSIONS_PLUGIN:display-dependency-updates" -Dverbose=true \
        '-Dmaven.version.ignore=(?i).*[.-](alpha|beta|rc|cr|m)[.-]?[0-9]*' |
        sed -nE ':a; s/^\[INFO\]  +([^ :]+:[^ :]+) \.+$/\1/; t join; s/^\[INFO\]  +([^ :]+:[^ :]+) \.* *(.*)/\1 \2/p; d; :join; N; s/\n\[INFO\] +/ /; s/^([^ ]+) (.*)/\1 \2/p' |
        awk '{ print $1 "\t" $NF }'
    rm -rf "$pom"
}

newest_npm() {
    local name _
    while IFS=$'\t' read -r name _; do
        printf '%s\t%s\n' "$name" "$(npm view --loglevel error "$name" version)"
    done < <(rows_of npm)
}

newest_pypi() {
    local name _ pip
    pip=$(python_tools_dir manifests)/bin/pip
    while IFS=$'\t' read -r name _; do
        printf '%s\t%s\n' "$name" "$("$pip" index versions --disable-pip-version-check "$name" 2>/dev/null | sed -n '1s/.*(\(.*\))/\1/p')"
    done < <(rows_of pypi)
}

newest_go() {
    local name _
    while IFS=$'\t' read -r name _; do
        printf '%s\t%s\n' "$name" "$(GOTOOLCHAIN=local "$(collector_go)" list -m -f '{{.Version}}' "$name@latest")"
    done < <(rows_of go)
}

newest_debian() { # of this machine's release, by its package lists
    # shellcheck disable=SC2046
    apt-cache policy $(rows_of debian | cut -f 1) | awk '/^[^ ]/ { name = substr($1, 1, length($1) - 1) } $1 == "Candidate:" { print name "\t" $2 }'
}

command_outdated() {
    local work registry name version home why held newest status=0
    [ $# = 0 ] || usage_error "outdated takes no arguments"
    install_packages maven
    install_programs npm:npm
    install_manifest_tools # has a pip
    install_collector      # has a Go
    work=$(mktemp -d)
    for registry in debian maven npm pypi go; do
        "newest_$registry" >"$work/$registry" 2>"$work/$registry.err" &
    done
    wait
    printf '%-9s %-48s %-26s %-26s %s\n' registry name version newest ''
    while IFS=$'\t' read -r registry name version _ _ held; do
        [ "$registry" != registry ] || continue
        newest=$([ ! -e "$work/$registry" ] || awk -F '\t' -v name="$name" '$1 == name { print $2; exit }' "$work/$registry")
        if [ "$registry" = debian ]; then # the release says which
            version=$(dpkg-query -W -f '${Version}' "$name" 2>/dev/null) || true
            held="apt-get upgrade"
        fi
        if [ ! -e "$work/$registry" ]; then
            held="not asked: there is no registry of these"
        elif [ -z "$newest" ] || [ "$newest" = "(none)" ]; then
            newest='?' status=1 held="no answer"
        elif [ -z "$version" ]; then
            version=- held="not installed here"
        elif [ "$newest" = "$version" ]; then
            held=
        else
            held="BEHIND${held:+: $held}"
        fi
        printf '%-9s %-48s %-26s %-26s %s\n' "$registry" "$name" "$version" "$newest" "$held"
    done <"$ROOT/docs/dependencies.tsv"
    [ $status = 0 ] || cat "$work"/*.err >&2
    rm -rf "$work"
    return $status
}
