#!/usr/bin/env bash
# What a stranger meets: a new Debian 12 with python3, make and nothing else, a clone in a folder
# with a space in its name, an empty HOME; then the commands of the README, timed and weighed.
#
#   sudo FRESH_CACHE=~/.cache/fresh tests/bench/fresh_machine.sh [run] [user] [test]
#
# run: `make run` as root, twice, the second time without a network; user: `make run` as someone
# without sudo; test: `make test`. Default: all three. The last commit is cloned, not the working
# tree. FRESH_CACHE keeps the bare system between runs; FRESH_PORT is for where 8080 is taken.
# Needs root, debootstrap, git and ip; leaves nothing behind. Exit 1: a claim did not hold; 2: it
# could not be tried here.
set -uo pipefail
readonly MOST_SECONDS=180 MOST_MB=700 STOP_SECONDS=10 CLONE="/srv/my box" PORT=${FRESH_PORT:-8080}

die() { echo "fresh_machine: $*" >&2; exit 2; }
# The machines below share the network of this one while they download.
port_is_free() {
    ! (exec 3<>/dev/tcp/127.0.0.1/"$PORT") 2>/dev/null ||
        die "port $PORT is taken; stop what listens, or name another as FRESH_PORT"
}

if [ "${1-}" != --inside ]; then
    [ "$(id -u)" = 0 ] || die "needs root, for chroot and mounts"
    for tool in debootstrap unshare nsenter git ip curl; do
        command -v "$tool" >/dev/null || die "needs $tool"
    done
    port_is_free
    folder=$(mktemp -d "${TMPDIR:-/tmp}/fresh-machine.XXXXXX") || exit 2
    # Everything happens in namespaces of its own: when their first process ends, however it
    # ends, the kernel ends all others in there and undoes all mounts.
    # shellcheck disable=SC2329 # the trap calls it
    clean() {
        [ -z "${machine-}" ] || { kill -KILL "$machine" && wait "$machine"; } 2>/dev/null
        rm -rf --one-file-system "$folder" 2>/dev/null ||
            { sleep 1; rm -rf --one-file-system "$folder"; }
    }
    trap clean EXIT
    trap 'exit 130' INT TERM HUP
    unshare --mount --pid --fork --kill-child --mount-proc --uts \
        bash "$0" --inside "$folder" "${@:-all}" </dev/null &
    machine=$!
    wait "$machine"
    status=$?
    machine=
    exit "$status"
fi

# ---- from here on: inside the namespaces
folder=$2 steps=" ${*:3} "
repository=$(git -C "$(dirname "$0")" rev-parse --show-toplevel) || exit 2
hostname freshbox
rows=() failures=0 net=()

wanted() { [[ $steps == *" $1 "* || $steps == *" all "* ]]; }
now() { echo $((${EPOCHREALTIME/[.,]/} / 100000)); } # in tenths of a second
since() { local t=$(($(now) - $1)); echo "$((t / 10)).$((t % 10))"; }
row() { rows+=("$(printf '%-58s %10s  %s' "$1" "$2" "${3-}")"); echo "${rows[-1]}"; }
claim() { # TEXT VALUE CONDITION...: one line of the table; a condition that is false is a failure
    local text=$1 value=$2 verdict=ok
    shift 2
    "$@" || { verdict=FAILED; failures=$((failures + 1)); }
    row "$text" "$value" "$verdict"
}
at_most() { [ "${1%.*}" -lt "$2" ]; }
show() { grep -v "^WARNING: Location" "$1" | tail -n "${2:-15}" | sed "s/^/    | /"; }
has() { grep -q -- "$1" "$log"; }

# pip and apt in there ask whom they ask here. pip's settings become PIP_* variables, so that HOME
# stays empty; the folders they name are mounted read-only. Its cache is the one thing left out.
settings() {
    python3 -m pip config list 2>/dev/null | sed -n "s/^global\.\([a-z-]*\)='\(.*\)'$/\1=\2/p" |
        while IFS='=' read -r name value; do
            name=${name//-/_}
            printf 'PIP_%s=%s\n' "${name^^}" "${value//\\n/ }"
        done
    env | grep -iE '^(PIP_[A-Z_]*|(https?|no)_proxy)=' || true
}
mapfile -t passed < <(settings | grep -vE '^PIP_(CONFIG_FILE|(NO_)?CACHE_DIR)=')
mapfile -t local_paths < <(printf '%s\n' "${passed[@]#*=}" | tr ' ' '\n' | sed 's,^file://,,' |
    grep '^/' | sed 's,/simple/*$,,' | sort -u)

bare_system() { # unpack, or first make, what debootstrap makes
    local tar=${FRESH_CACHE:-$folder}/debian12.tar made=$folder/made mirror
    if [ ! -f "$tar" ]; then
        # shellcheck disable=SC2016 # apt-get fills these in
        mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
            sed -n 's/ bookworm$//p' | head -n 1)
        debootstrap --variant=minbase --include=python3,make,ca-certificates,curl \
            bookworm "$made" ${mirror:+"$mirror"} >"$folder/log" 2>&1 ||
            { show "$folder/log"; die "debootstrap failed"; }
        rm -rf "$made"/var/cache/apt/* "$made"/var/lib/apt/lists/* "$made"/etc/apt/sources.list
        mkdir -p "$(dirname "$tar")"
        tar -C "$made" --exclude='./dev/*' --exclude='./proc/*' -cf "$tar.part" . || exit 2
        mv "$tar.part" "$tar" || exit 2
        rm -rf "$made"
    fi
    mkdir "$1" || exit 2
    tar -C "$1" -xf "$tar" || die "can't unpack $tar"
}

new_machine() { # NAME USER: sets root, bare (the same without what is mounted in it) and enter
    local path part
    root=$folder/$1 bare=$folder/$1.bare
    bare_system "$root"
    # docker-*: what images set to save space; a machine does not have it
    for part in sources.list sources.list.d apt.conf.d preferences.d keyrings trusted.gpg.d; do
        [ ! -e "/etc/apt/$part" ] || cp -a "/etc/apt/$part" "$root/etc/apt/"
    done
    rm -f "$root"/etc/apt/apt.conf.d/docker-*
    for path in /usr/share/keyrings /etc/ssl/certs /usr/local/share/ca-certificates; do
        [ ! -d "$path" ] || { mkdir -p "$root$path" && cp -a "$path/." "$root$path/"; }
    done
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    echo 127.0.1.1 freshbox >>"$root/etc/hosts"
    [ "$2" = root ] || chroot "$root" useradd --create-home "$2"
    git clone -q --no-local "$repository" "$root$CLONE" || exit 2
    chroot "$root" chown -R "$2:" "$CLONE"
    mkdir "$bare"
    if ! { mount --bind "$root" "$bare" && mount -t proc proc "$root/proc" &&
        mount -t sysfs -o ro sysfs "$root/sys" && mount -t tmpfs -o mode=755 tmpfs "$root/dev"; }
    then
        die "can't mount in $folder"
    fi
    for path in null zero full random urandom; do
        : >"$root/dev/$path" && mount --bind "/dev/$path" "$root/dev/$path"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    mkdir -m 1777 "$root/dev/shm"
    mkdir "$root/dev/pts" && mount -t devpts -o ptmxmode=666 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    for path in "${local_paths[@]}"; do
        if [ -d "$path" ]; then
            mkdir -p "$root$path" && mount --bind "$path" "$root$path" &&
                mount -o remount,bind,ro "$root$path"
        elif [ -f "$path" ] && [ ! -e "$root$path" ]; then
            install -D -m 644 "$path" "$root$path"
        fi
    done
    log=$folder/$1.log
    enter_as "$2"
}

enter_as() { # USER: sets enter, the words before a command that is to run in the machine
    local home=/root
    [ "$1" = root ] || home=/home/$1
    enter=("${net[@]}" chroot "--userspec=$1:$1" "$root" env -i "HOME=$home"
        PATH=/usr/sbin:/usr/bin:/sbin:/bin "${passed[@]}" env)
}
# shellcheck disable=SC2016 # $0 is for the sh in there
in_clone() { "${enter[@]}" sh -c 'cd "$0" && exec timeout 1500 "$@"' "$CLONE" "$@" >"$log" 2>&1; }
# Its own word first: were the port taken meanwhile, someone else would answer.
healthy() {
    has 'Scribebox is at' &&
        "${enter[@]}" curl -sf -o /dev/null --max-time 2 "http://127.0.0.1:$PORT/health"
}
size_mb() { du -sxm "$bare" | cut -f 1; }
received_mb() { # what this network namespace received so far, without loopback
    awk '/:/ && !/lo:/ { sub(/.*:/, ""); n += $1 } END { print int(n / 1e6) }' /proc/net/dev
}

start() { # `make run` as in a terminal: a process group of its own, in which Ctrl-C is not ignored
    [ -n "${net[*]}" ] || port_is_free
    # shellcheck disable=SC2016 # $0 is for the sh in there
    setsid "${enter[@]}" --default-signal=INT ${FRESH_PORT:+"SCRIBEBOX_PORT=$PORT"} \
        sh -c 'cd "$0" && exec make run' "$CLONE" >"$log" 2>&1 &
    box=$! began=$(now)
    disown # or bash would tell of its end
}
until_true() { # COMMAND...: wait for it, as long as the box lives, and for 10 minutes at most
    until "$@"; do
        kill -0 "$box" 2>/dev/null && [ $(($(now) - began)) -lt 6000 ] ||
            { show "$log"; ! has 'Address already in use' || port_is_free; return 1; }
        sleep 0.2
    done
}
stop() { # SIGNAL TARGET: send it, wait for the whole group, and look that nothing is left
    local t
    t=$(now)
    kill "-$1" -- "$2" 2>/dev/null || claim "  $1: it was still running" "" false
    while kill -0 -- "-$box" 2>/dev/null && [ $(($(now) - t)) -lt 600 ]; do sleep 0.1; done
    claim "  $1: ended after (s)" "$(since "$t")" at_most "$(since "$t")" "$STOP_SECONDS"
    claim "  $1: processes left" "$(pgrep -fc "$CLONE/.venv")" [ "$(pgrep -fc "$CLONE/.venv")" = 0 ]
    ! has Traceback || { claim "  $1: no traceback" "" false; show "$log" 30; }
    kill -KILL -- "-$box" 2>/dev/null
}

if wanted run || wanted test; then new_machine machine root; fi

if wanted run; then
    row "make run, as root on a bare machine" ""
    before=$(size_mb) received=$(received_mb)
    start
    until_true healthy && t=$(since "$began") || t=9999
    claim "  /health answers after (s)" "$t" at_most "$t" "$MOST_SECONDS"
    until_true has 'the box works' && t=$(since "$began") || t=9999
    claim "  first transcript after (s, at most $MOST_SECONDS)" "$t" at_most "$t" "$MOST_SECONDS"
    grown=$(($(size_mb) - before))
    claim "  disk used by then (MB, at most $MOST_MB)" "$grown" at_most "$grown" "$MOST_MB"
    row "  received by this machine, all programs together (MB)" $(($(received_mb) - received))
    grep '^  curl' "$log" | "${enter[@]}" sh >"$folder/answer" 2>&1
    claim "  the line it prints, pasted, gives the first session" "" \
        grep -q 'Welcome to Scribebox' "$folder/answer"
    grep -A1 'the box works' "$log"
    stop INT "-$box" # Ctrl-C reaches the whole group

    row "make run again, without a network" ""
    unshare --net sleep infinity &
    holder=$!
    disown
    sleep 0.5
    net=(nsenter "--net=/proc/$holder/ns/net")
    "${net[@]}" ip link set lo up
    enter_as root
    start
    until_true healthy && t=$(since "$began") || t=9999
    claim "  /health answers after (s)" "$t" at_most "$t" 20
    stop TERM "$box" # what `kill` and a supervisor do: make alone gets it
    kill "$holder"
    net=()
fi

if wanted user; then
    new_machine user ann
    row "make run, as a user without sudo" ""
    in_clone make run
    status=$? # make's own: 2 whenever a command of a rule failed, and it says with what
    show "$log"
    claim "  nothing installed: one apt command, and the end" "exit $status" \
        [ "$(grep -c 'sudo apt install -y python3-venv libportaudio2$' "$log") $status $(
            grep -c 'Error 1$' "$log") $(wc -l <"$log")" = "1 2 1 2" ]
    enter_as root
    "${enter[@]}" sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends python3-venv' >/dev/null 2>&1 ||
        die "can't install python3-venv"
    enter_as ann
    start
    until_true healthy && t=$(since "$began") || t=9999
    claim "  python3-venv installed: /health answers after (s)" "$t" at_most "$t" "$MOST_SECONDS"
    claim "  it says that the microphone wants PortAudio" "" \
        has 'no microphone without PortAudio: sudo apt install -y libportaudio2'
    until_true has 'the box works' && t=$(since "$began") || t=9999
    claim "  first transcript after (s)" "$t" at_most "$t" "$MOST_SECONDS"
    stop TERM "$box"
fi

if wanted test; then
    root=$folder/machine log=$folder/test.log
    enter_as root
    t=$(now)
    in_clone make test
    status=$?
    row "make test, setting up included (s)" "$(since "$t")"
    result=$(grep -E '^[0-9]+ (passed|failed).* in ' "$log" || echo "ended before the tests")
    claim "  ${result:0:56}" "exit $status" [ "$status" = 0 ]
    [ "$status" = 0 ] || show "$log" 60
fi

printf '\n'
printf '%s\n' "${rows[@]}"
[ "$failures" = 0 ] || { echo "$failures claims failed"; exit 1; }
