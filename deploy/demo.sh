#!/usr/bin/env bash
# The demo network.
#
#   deploy/demo.sh run      the main job from C source to offline proof, each claim checked; leaves nothing running
#   deploy/demo.sh up       a validator with the sample plugins, left running; writes target/demo/network.json
#   deploy/demo.sh status   what of it runs; exit code 1 unless all of it does
#   deploy/demo.sh down     ends it, and waits for its end
#
# Build first (`make build`). Binaries are taken from $CARGO_TARGET_DIR/debug; state is always in target/demo.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly root
readonly demo=$root/target/demo
readonly network=$demo/network.json
readonly plugins=$root/tests/plugins
readonly epoch_s=2
# Seconds that anything may take to start, to happen or to end.
readonly patience=60

binaries=${CARGO_TARGET_DIR:-$root/target}/debug
case $binaries in /*) ;; *) binaries=$root/$binaries ;; esac
readonly binaries

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' dim='' green='' red='' plain=''
fi

server=0
jobs=()

pds() { "$binaries/pds" "$@"; }
pds-log-server() { "$binaries/pds-log-server" "$@"; }

die() {
    printf '%sdemo: %s%s\n' "$red" "$*" "$plain" >&2
    exit 1
}

# until_true WHAT COMMAND...: tries the command until it succeeds, or for as long as patience lasts.
until_true() {
    local what=$1 deadline=$((SECONDS + patience))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || die "waited $patience s in vain for $what"
        sleep 0.1
    done
}

# ---- one validator ---------------------------------------------------------------------------------------------------

# is_ours PID CONFIG: whether that process is a log-server of ours, and not one that got its number since.
is_ours() {
    local pid=$1 config=$2 exe args
    [[ $pid =~ ^[1-9][0-9]*$ ]] || return 1
    exe=$(readlink "/proc/$pid/exe" 2>/dev/null) || return 1
    [[ $(basename "${exe% (deleted)}") == pds-log-server ]] || return 1
    mapfile -d '' -t args 2>/dev/null <"/proc/$pid/cmdline" || return 1
    [[ ${args[*]:1} == "--config $config" ]]
}

# configure NAME ORIGIN FOLDER: a new validator's configuration, keys and database.
configure() {
    local origin=$2 folder=$3
    mkdir -p "$folder"
    sed -e "s|^origin = .*|origin = \"$origin\"|" \
        -e 's|^listen = .*|listen = "127.0.0.1:0"|' \
        -e 's|^# address_file = .*|address_file = "address"|' \
        -e "s|^epoch_interval_s = .*|epoch_interval_s = $epoch_s|" \
        "$root/deploy/log-server.toml" >"$folder/log-server.toml"
    pds-log-server init --config "$folder/log-server.toml" >"$folder/keys.txt"
}

# launch FOLDER: runs its validator in the background, and returns when it takes submissions. Sets `url` and `server`.
launch() {
    local folder=$1
    rm -f "$folder/address"
    # In a session of its own: Ctrl-C is for this script, which then ends the server in order.
    setsid "$binaries/pds-log-server" --config "$folder/log-server.toml" </dev/null >>"$folder/log" 2>&1 9>&- &
    server=$!
    printf '%s\n' "$server" >"$folder/pid"
    local deadline=$((SECONDS + patience))
    until [[ -s $folder/address ]] && url=http://$(<"$folder/address") && curl -fs "$url/readyz" >/dev/null; do
        if ! kill -0 "$server" 2>/dev/null || ((SECONDS >= deadline)); then
            tail -n 5 "$folder/log" >&2
            die "the validator did not start; its log is $folder/log"
        fi
        sleep 0.1
    done
}

# end PID CONFIG: ends a validator in order, and waits for its end. Nothing happens if it is none of ours.
end() {
    local pid=$1 config=$2 deadline=$((SECONDS + patience))
    is_ours "$pid" "$config" || return 0
    kill -TERM "$pid" 2>/dev/null || true
    while is_ours "$pid" "$config"; do
        if ((SECONDS >= deadline)); then
            kill -KILL "$pid" 2>/dev/null || true
            die "the validator (pid $pid) did not end in $patience s and was killed"
        fi
        sleep 0.1
    done
}

# trust FILE NICK FOLDER URL: how a peer knows this validator.
trust() {
    local file=$1 nick=$2 folder=$3 url=$4 policy
    policy=$(dirname "$file")/$nick.policy
    printf 'log %s\nquorum none\n' "$(<"$folder/data/log.vkey")" >"$policy"
    cat >"$file" <<TOML
[validators.$nick]
url = "$url"
str_key = "$(<"$folder/data/str.vkey")"
policy = "$nick.policy"
# There are no witnesses yet, so nothing would show a validator that tells everybody something else.
allow_quorum_none = true
TOML
}

# submit_all PLUGIN...: each by its developer, all at once, until epochs have the decisions. What is printed and the exit
# code go to developers/PLUGIN/{printed,exit}.
submit_all() {
    local plugin code at=0
    for plugin in "$@"; do
        mkdir -p "developers/$plugin"
        pds key new "developers/$plugin/key" >"developers/$plugin/key.pub"
        "$binaries/pds" submit "$plugins/$plugin" --trust trust.toml --validator PV1 --key "developers/$plugin/key" \
            --state "developers/$plugin/memory" --wait --timeout-s "$patience" \
            </dev/null >"developers/$plugin/printed" 2>&1 9>&- &
        jobs+=($!)
    done
    for plugin in "$@"; do
        code=0
        wait "${jobs[at++]}" || code=$?
        printf '%s\n' "$code" >"developers/$plugin/exit"
    done
    jobs=()
}

# clean_up FOLDER: ends what this script started, whatever happened.
clean_up() {
    if ((${#jobs[@]} > 0)); then
        kill "${jobs[@]}" 2>/dev/null || true
        wait "${jobs[@]}" 2>/dev/null || true
    fi
    end "$server" "$1/log-server.toml"
}

# guarded FOLDER: from here on, nothing survives this script but what it says.
guarded() {
    # The folder is known now; when the trap runs it may not be.
    # shellcheck disable=SC2064
    trap "clean_up $(printf '%q' "$1")" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

# ---- run: the main job, told and checked -------------------------------------------------------------------------------

steps=0
held=0
broken=0
code=0
printed=''

step() {
    steps=$((steps + 1))
    printf '\n%s%d. %s%s\n' "$bold" "$steps" "$*" "$plain"
}

# check WHAT COMMAND...: an expectation, which holds if the command succeeds.
check() {
    local what=$1
    shift
    if "$@"; then
        held=$((held + 1))
        printf '   %s✓ %s%s\n' "$green" "$what" "$plain"
    else
        broken=$((broken + 1))
        printf '   %s✗ NOT SO: %s%s\n' "$red" "$what" "$plain"
    fi
}

# shown LINES COMMAND...: runs a command as a reader would; shows it and the end of what it prints. Sets `printed`, `code`.
shown() {
    local lines=$1 word line=''
    shift
    for word in "$@"; do
        [[ $word =~ ^[A-Za-z0-9._/:=-]+$ ]] || word="'$word'"
        line+=" $word"
    done
    printf '   %s$%s%s\n' "$dim" "$line" "$plain"
    code=0
    printed=$("$@" 2>&1) || code=$?
    tail -n "$lines" <<<"$printed" | sed 's/^/     /'
}

# ended CODE TEXT: whether what was shown last ended so and printed that.
ended() { [[ $code == "$1" && $printed == *"$2"* ]]; }

# flip FILE OFFSET: turns the lowest bit of that byte over.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf '%b' "\\x$(printf '%02x' $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

epoch_now() {
    pds fetch org.example.pacing --trust trust.toml --state onlooker --format evidence --out now.evidence --json |
        sed -n 's/.*"epoch":\([0-9]*\).*/\1/p'
}

is_later_than() { (($(epoch_now) > $1)); }

run() {
    local state=$demo/run began=$SECONDS folder plugin at size early refused i
    folder=$state/pv1
    if [[ -f $folder/pid ]]; then
        end "$(<"$folder/pid")" "$folder/log-server.toml"
    fi
    rm -rf "$state"
    mkdir -p "$state"
    cd "$state"
    guarded "$folder"

    step "A validator: keys, database, an epoch every $epoch_s seconds"
    configure PV1 pv1.example "$folder"
    launch "$folder"
    trust trust.toml PV1 "$folder" "$url"
    head -n 2 "$folder/keys.txt" | sed 's/^/     /'
    check "pv1.example takes submissions at $url" kill -0 "$server"

    step "Developers submit six plugins in C, each signed with a key of its own"
    submit_all pacing telemetry buffer datagram broken syntax
    for plugin in pacing telemetry buffer datagram broken syntax; do
        sed -e '/^subm/d' -e 's/^/     /' "developers/$plugin/printed" | head -n 10
        printed=$(<"developers/$plugin/printed") code=$(<"developers/$plugin/exit")
        case $plugin in
        broken) check "refused for its structure, with the cause" ended 1 "failed at stage structure" ;;
        syntax) check "refused, with the compiler's words" ended 1 "failed at stage build" ;;
        *) check "rebuilt twice alike, structure holds: validated" ended 0 "release 1: published" ;;
        esac
    done

    step "A stranger reads the whole log, and recomputes every root from what is served"
    shown 4 pds audit --trust trust.toml --validator PV1 --state stranger
    check "the log is what it says" ended 0 "everything holds"

    step "A peer fetches bytecode with evidence; others ask about what failed, and what never was"
    shown 2 pds fetch org.example.pacing --trust trust.toml --state peer --out earlier.pds
    check "a package" ended 0 "is satisfied"
    early=$(epoch_now)
    until_true "the next epoch" is_later_than "$early"
    shown 2 pds fetch org.example.pacing --trust trust.toml --state peer --epoch "$early" --format evidence \
        --out history.evidence
    check "evidence of an epoch that is over" ended 0 "was, in epoch $early, validated"
    shown 2 pds fetch org.example.pacing --trust trust.toml --state peer --out pacing.pds
    check "a package of now" ended 0 "is satisfied"
    shown 4 pds fetch org.example.broken --trust trust.toml --state developers/broken/memory --out broken.pds
    check "evidence that it failed, and the cause, a local call" ended 1 "failed at stage structure on smooth_rtt.o"
    check "no package of it" test ! -e broken.pds
    shown 2 pds fetch org.example.never --trust trust.toml --state passer-by --format evidence --out never.evidence
    check "evidence that it never was" ended 0 "absent: it was never admitted"

    step "The validator ends; from here on nobody is asked"
    kill -TERM "$server"
    code=0
    wait "$server" || code=$?
    check "it finished what it had accepted, and ended with exit code 0" test "$code" = 0
    shown 1 pds fetch org.example.pacing --trust trust.toml --state peer
    check "nobody answers" ended 3 "Connection refused"

    step "Offline: the peer verifies its package, step by step"
    shown 20 pds verify pacing.pds --trust trust.toml --formula 'PV1[structure, reproducible]' --state peer
    check "manifest and bytecode are what the validator stands for, now" ended 0 "is satisfied"
    shown 1 pds unpack pacing.pds --out pacing --trust trust.toml --state peer
    check "bytecode to run" test -s pacing/drain_bucket.o

    step "Offline: what failed, and what never was"
    shown 4 pds verify org.example.broken.evidence --trust trust.toml --state developers/broken/memory
    check "failed, and proved so" ended 0 "org.example.broken is, as of epoch"
    check "not validated" ended 0 ", failed"
    shown 4 pds verify never.evidence --name org.example.never --trust trust.toml --state passer-by
    check "absent, and proved so" ended 0 "absent: it was never admitted"
    shown 2 pds verify never.evidence --name org.example.pacing --trust trust.toml --state passer-by
    check "for that name and no other" ended 1 "this proves nothing about org.example.pacing"

    step "Offline: an earlier epoch is told from now"
    shown 2 pds verify history.evidence --trust trust.toml --state peer
    check "history: true, and of no use to a formula" ended 0 "was, in epoch $early, validated"
    shown 2 pds verify earlier.pds --trust trust.toml --state peer
    check "a package from then, refused by a peer that saw a later epoch" ended 1 "it is not of now"

    step "Offline: whoever tampers is found"
    cp pacing.pds tampered.pds
    # 64 bytes behind the ELF magic: in the first object's code.
    at=$(LC_ALL=C grep -obUa $'\x7fELF' tampered.pds | sed -n '1s/:.*//p')
    flip tampered.pds $((at + 64))
    shown 2 pds verify tampered.pds --trust trust.toml --state peer
    check "one flipped bit of bytecode" ended 1 "NOT satisfied"
    size=$(stat -c %s pacing.pds)
    refused=0
    for ((i = 0; i < 32; i++)); do
        cp pacing.pds tampered.pds
        flip tampered.pds $((i * (size - 1) / 31))
        code=0
        pds verify tampered.pds --trust trust.toml --state peer >/dev/null 2>&1 || code=$?
        ((code != 1)) || refused=$((refused + 1))
    done
    check "32 flipped bits, one at a time, from the first byte to the last: $refused refused" test "$refused" = 32

    step "The validator's disk is reread and rehashed"
    shown 2 pds-log-server fsck pv1/data
    check "sound" ended 0 "; 0 findings"
    check "nothing is left running" nothing_runs "$folder"

    printf '\n'
    ((broken == 0)) || die "$broken of $((held + broken)) expectations did not hold"
    printf '%sAll %d expectations held, in %d s.%s What was made is in %s\n' \
        "$bold$green" "$held" $((SECONDS - began)) "$plain" "${state#"$root/"}"
}

nothing_runs() { ! is_ours "$(<"$1/pid")" "$1/log-server.toml"; }

# ---- up, status, down ----------------------------------------------------------------------------------------------------

json() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

write_network() {
    local folder=$1
    cat >"$network.new" <<JSON
{
  "log_servers": [
    {
      "name": "PV1",
      "origin": "pv1.example",
      "url": $(json "$url"),
      "vkey": $(json "$(<"$folder/data/log.vkey")"),
      "str_key": $(json "$(<"$folder/data/str.vkey")"),
      "epoch_s": $epoch_s,
      "config": $(json "$folder/log-server.toml"),
      "data": $(json "$folder/data"),
      "pid": $server
    }
  ],
  "witnesses": [],
  "monitor": null
}
JSON
    mv "$network.new" "$network"
}

# The value of a key of network.json, which is written one a line.
value() { sed -n "s/^ *\"$1\": \"\{0,1\}\([^\"]*\)\"\{0,1\},\{0,1\}$/\1/p" "$network"; }

up() {
    local state=$demo/network folder=$demo/network/pv1 plugin expected
    if [[ -f $network ]] && is_ours "$(value pid)" "$folder/log-server.toml"; then
        status
        return
    fi
    # One that was left behind before it got into network.json.
    if [[ -f $folder/pid ]]; then
        end "$(<"$folder/pid")" "$folder/log-server.toml"
    fi
    rm -rf "$state" "$network"
    mkdir -p "$state"
    cd "$state"
    guarded "$folder"
    configure PV1 pv1.example "$folder"
    launch "$folder"
    trust trust.toml PV1 "$folder" "$url"
    submit_all pacing telemetry buffer datagram broken syntax
    for plugin in pacing telemetry buffer datagram broken syntax; do
        case $plugin in broken | syntax) expected=1 ;; *) expected=0 ;; esac
        if [[ $(<"developers/$plugin/exit") != "$expected" ]]; then
            cat "developers/$plugin/printed" >&2
            die "$plugin was not decided as it should be"
        fi
    done
    write_network "$folder"
    trap - EXIT INT TERM HUP
    status
}

status() {
    if [[ ! -f $network ]]; then
        printf 'no demo network is up\n'
        return 1
    fi
    local pid config state
    pid=$(value pid) config=$(value config)
    if ! is_ours "$pid" "$config"; then
        printf '%s: not running (was pid %s)\n' "$(value name)" "$pid"
        return 1
    fi
    state=$(curl -fs --max-time 5 "$(value url)/readyz") || state="not ready"
    printf '%s: %s, %s, pid %s\n' "$(value name)" "$state" "$(value url)" "$pid"
    printf 'trust file: %s\n' "$demo/network/trust.toml"
    printf 'log:        %s\n' "$demo/network/pv1/log"
    [[ $state == ready ]]
}

down() {
    if [[ ! -f $network ]]; then
        printf 'no demo network is up\n'
        return
    fi
    end "$(value pid)" "$(value config)"
    rm -f "$network"
    printf 'ended; what it stored is in %s\n' "$demo/network"
}

[[ -x $binaries/pds && -x $binaries/pds-log-server ]] || die "no binaries in $binaries: run \`make build\` first"
case ${1:-} in
run | up | down)
    mkdir -p "$demo"
    exec 9>"$demo/lock"
    flock -n 9 || die "another demo.sh is at work in $demo"
    "$1"
    ;;
status) status ;;
*)
    printf 'usage: %s run|up|status|down\n' "$0" >&2
    exit 2
    ;;
esac
