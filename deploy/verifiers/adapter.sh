# What the adapters of this folder share; they source it. An adapter turns one tool's way of speaking into the answer that
# pds-validator reads:
#
#   CMD --property P --source F.c --object F.o --entry SYM --timeout SECONDS
#
# writes one JSON object {tool, version, property, verdict, bounds, log_digest, cause} and exits with 0 (proved), 1 (refuted),
# 2 (inconclusive) or 3 (error). Whatever is not understood is an error, never a success.
#
# shellcheck shell=sh
set -u
export LC_ALL=C

tool=${tool:?the adapter says which tool it is}
version=unknown
property=unknown
source='' object='' entry='' timeout=''
scratch=''

# Letters, digits and what versions are made of: nothing that JSON would want quoted.
plain() { tr -cd 'A-Za-z0-9 ._:+,()/=<>*-' | cut -c "1-$1"; }

# answer VERDICT CAUSE [NAME NUMBER]...: says it and ends the adapter.
answer() {
    verdict=$1 cause=$(printf '%s' "$2" | tr '\n' ' ' | plain 400) bounds=''
    shift 2
    while [ $# -ge 2 ]; do
        bounds="$bounds${bounds:+,}\"$1\":$2"
        shift 2
    done
    digest=$(digest_log)
    printf '{"tool":"%s","version":"%s","property":"%s","verdict":"%s","bounds":{%s},"log_digest":"%s"' \
        "$tool" "$version" "$property" "$verdict" "$bounds" "$digest"
    [ "$verdict" = proved ] || printf ',"cause":"%s"' "$cause"
    printf '}\n'
    [ -z "$scratch" ] || rm -rf "$scratch"
    case $verdict in
        proved) exit 0 ;;
        refuted) exit 1 ;;
        inconclusive) exit 2 ;;
        *) exit 3 ;;
    esac
}

# SHA-256 of all that the tool wrote, which is nothing when it never ran.
digest_log() {
    if [ -n "$scratch" ] && [ -f "$scratch/log" ]; then
        sha256sum <"$scratch/log" | cut -d ' ' -f 1
    else
        printf '' | sha256sum | cut -d ' ' -f 1
    fi
}

fail() { answer error "$1"; }

# begin PROPERTIES "$@": reads the arguments; the properties, between spaces, are those that the tool can decide.
begin() {
    properties=" $1 "
    shift
    while [ $# -gt 0 ]; do
        [ $# -ge 2 ] || fail "option $1 wants a value"
        case $1 in
            --property) property=$(printf '%s' "$2" | tr -cd 'a-z-' | cut -c 1-64) ;;
            --source) source=$2 ;;
            --object) object=$2 ;;
            --entry) entry=$2 ;;
            --timeout) timeout=$2 ;;
            *) fail "option $1 is unknown" ;;
        esac
        shift 2
    done
    case $properties in *" $property "*) ;; *) fail "$tool does not decide this property, only$properties" ;; esac
    case $timeout in '' | *[!0-9]* | 0*) fail "--timeout is a number of seconds, from 1" ;; esac
    case $entry in '' | *[!A-Za-z0-9_]*) fail "--entry is the name of a C function" ;; esac
    [ -s "$source" ] || fail "--source names no file, or an empty one"
    [ -s "$object" ] || fail "--object names no file, or an empty one"
    scratch=$(mktemp -d) || fail "there is no scratch folder"
}

# need COMMAND: the tool must be there.
need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is not installed"; }

# ask_version COMMAND...: the first line of what it says of itself, if it says anything.
ask_version() {
    version=$("$@" 2>/dev/null </dev/null | head -n 1 | plain 64)
    version=${version:-unknown}
}

# run COMMAND...: runs it for at most $timeout seconds, all its words into $scratch/log; gives its status in $status.
run() {
    timeout -k 2 "$timeout" "$@" >"$scratch/log" 2>&1 </dev/null
    status=$?
    case $status in
        124 | 137) answer inconclusive "no answer within the time limit" seconds "$timeout" ;;
        126 | 127) fail "$1 cannot be run" ;;
    esac
    [ "$status" -lt 128 ] || fail "$1 ended by signal $((status - 128))"
}

# said LINE: whether a whole line of the log, blanks around it aside, is exactly this.
said() { sed 's/^[[:space:]]*//; s/[[:space:]]*$//' "$scratch/log" | grep -qxF -- "$1"; }
