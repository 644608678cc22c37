# shellcheck shell=bash
# What all commands of the lab share: its names and addresses, messages,
# locks, the state directory beside Cargo.toml, and waiting for a host.
# Sourced by up, clean, twin and down; never run by itself.

# Several of these names are used only by the files that source this one.
# shellcheck disable=SC2034

shopt -s inherit_errexit

LAB_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
STATE_DIR=$(cd -- "$LAB_DIR/../.." && pwd)/.lab
CACHE_DIR=${VEZA_LAB_CACHE:-$HOME/.cache/veza-lab}
KEY=$STATE_DIR/id_ed25519
KNOWN_HOSTS=$STATE_DIR/known_hosts

# The lab owns what bears these names in Incus, and nothing else there.
LAB=veza-lab
BRIDGE=vezalab0
GATEWAY=10.155.0.1/24
DYNAMIC_ADDRESSES=10.155.0.100-10.155.0.250

# The instance setting that marks a container as the lab's own; its value says
# from which image recipe and key the container was made.
STAMP=user.$LAB.stamp

HOSTS=(veza-haproxy veza-backend-api-1 veza-backend-api-2)
declare -A ADDRESS_OF=(
    [veza-haproxy]=10.155.0.10
    [veza-backend-api-1]=10.155.0.11
    [veza-backend-api-2]=10.155.0.12
)

# Seconds that a container may take from its start until it answers.
BOOT_LIMIT=60

# --- Messages ---------------------------------------------------------------

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

require_root() {
    [ "$(id -u)" -eq 0 ] || die "The lab needs root: run this command as root or through sudo."
}

require_daemon() {
    daemon_answers || die "The lab is not up: run tests/lab/up first."
}

daemon_answers() { timeout 5 incus query /1.0 >/dev/null 2>&1; }

# --- Locks ------------------------------------------------------------------

# One `up` or `down` at a time (exclusive), any number of `clean` and `twin`
# beside each other (shared). Descriptor 8 holds the lock until the command
# ends, so a daemon that is started must not inherit it.
lock_lab() {
    local mode=$1
    exec 8>"/run/lock/$LAB.lock"
    flock "--$mode" --timeout 900 8 \
        || die "Another command of the lab has held its lock for 15 minutes; see what runs, then try again."
}

# One command at a time may reset one container, or make the image. Called in a
# subshell, whose end gives the lock back.
lock_host() {
    exec 9>"/run/lock/$LAB-$1.lock"
    flock --timeout 300 9 \
        || die "Another command of the lab has worked on $1 for 5 minutes; see what runs, then try again."
}

# --- State beside Cargo.toml ------------------------------------------------

# All checkouts on one machine share the containers, so they share the key too:
# it lives in the cache, and each checkout gets a copy.
prepare_state() {
    local shared_key=$CACHE_DIR/id_ed25519
    install --directory --mode 700 "$STATE_DIR" "$CACHE_DIR"
    if [ ! -s "$shared_key" ]; then
        rm -f "$shared_key" "$shared_key.pub"
        ssh-keygen -q -t ed25519 -N '' -C "$LAB" -f "$shared_key"
    fi
    cmp -s "$shared_key" "$KEY" || install --mode 600 "$shared_key" "$KEY"
    cmp -s "$shared_key.pub" "$KEY.pub" || install --mode 644 "$shared_key.pub" "$KEY.pub"
}

# Writes a container's own SSH host keys to known_hosts, under its name and its
# address. They come through `incus exec`, not over the network they vouch for.
record_host_keys() {
    local name=$1 address=$2 keys='' attempt
    # Under load, incus exec now and then loses what a short command printed.
    for attempt in 1 2 3 4 5; do
        keys=$(incus exec "$name" -T -- sh -c 'cat /etc/ssh/ssh_host_*_key.pub' </dev/null \
            | awk -v host="$name,$address" '{ print host, $1, $2 }')
        [ -z "$keys" ] || break
    done
    [ -n "$keys" ] || die "$name does not tell its SSH host keys, in $attempt attempts."
    (
        flock 7
        touch "$KNOWN_HOSTS"
        {
            awk -v name="$name" -v address="$address" '
                { split($1, field, ","); if (field[1] != name && field[2] != address) print }
            ' "$KNOWN_HOSTS"
            printf '%s\n' "$keys"
        } >"$KNOWN_HOSTS.new"
        mv "$KNOWN_HOSTS.new" "$KNOWN_HOSTS"
    ) 7>"$KNOWN_HOSTS.lock"
}

# --- Containers -------------------------------------------------------------

container_exists() { incus config show "$1" >/dev/null 2>&1; }

# Who uses the lab's profile takes part in it, also when an env file made it.
is_ours() { our_containers | grep --quiet --line-regexp --fixed-strings "$1"; }

is_running() { [ "$(incus list "^$1\$" --format csv --columns s)" = RUNNING ]; }

has_clean_snapshot() { incus query "/1.0/instances/$1/snapshots/clean" >/dev/null 2>&1; }

our_containers() {
    incus query "/1.0/profiles/$LAB" 2>/dev/null | sed -n 's|.*"/1.0/instances/\([^"/?]*\)".*|\1|p'
}

# Prints a container's address once it answers: systemd has finished its boot
# without a failed unit, the network is configured, and sshd speaks.
wait_for_host() {
    local name=$1 limit=${2:-$BOOT_LIMIT} answer missing deadline
    deadline=$((SECONDS + limit))
    while :; do
        if ! answer=$(probe_inside "$name" $((deadline - SECONDS))); then
            missing=${answer:-incus exec does not get through}
        elif ! speaks_ssh "$answer"; then
            missing="sshd is silent on $answer"
        else
            printf '%s\n' "$answer"
            return
        fi
        if ((SECONDS >= deadline)); then
            say "$name did not answer within $limit seconds: $missing."
            return 1
        fi
        sleep 0.2
    done
}

# One `incus exec` that waits inside, for each costs some 50 ms. Prints the
# address, or what is still missing when the time is over.
probe_inside() {
    local name=$1 limit=$2
    # shellcheck disable=SC2016 # The container's shell expands it.
    timeout "$((limit > 1 ? limit : 1))" incus exec "$name" -T -- sh -c '
        end=$(($(date +%s) + $1))
        while :; do
            state=$(systemctl is-system-running 2>/dev/null)
            address=$(ip -4 -brief address show dev eth0 scope global 2>/dev/null \
                | sed -n "s|.* \([0-9.]*\)/.*|\1|p")
            if [ "$state" = running ] && [ -n "$address" ] && cat /proc/meminfo >/dev/null 2>&1; then
                echo "$address"
                exit 0
            fi
            if [ "$(date +%s)" -ge "$end" ]; then
                echo "systemd is ${state:-silent}, address is ${address:-missing}," \
                    "failed units are [$(systemctl --failed --plain --no-legend 2>&1 | cut -d" " -f1 | xargs)]"
                exit 1
            fi
            sleep 0.1
        done
    ' probe "$((limit > 2 ? limit - 2 : 0))" </dev/null 2>/dev/null
}

# Succeeds when an SSH server greets on the address, seen from this machine.
speaks_ssh() {
    # shellcheck disable=SC2016 # The inner bash expands $1.
    [ "$(timeout 2 bash -c 'exec 3<>"/dev/tcp/$1/22" && head -c 4 <&3' probe "$1" 2>/dev/null)" = "SSH-" ]
}

# Puts a container back to its `clean` snapshot and prints its address. Errors
# are passed on by hand, for callers try this as one remedy of several.
reset_host() {
    local name=$1
    incus stop --force "$name" >/dev/null 2>&1 || true
    incus snapshot restore "$name" clean </dev/null || return 1
    incus start "$name" </dev/null || return 1
    wait_for_host "$name"
}

# Runs one function for several names at once, and fails when one call failed.
for_each() {
    local function=$1 failed=0 name job
    local -A jobs=()
    shift
    for name in "$@"; do
        "$function" "$name" &
        jobs[$name]=$!
    done
    for name in "${!jobs[@]}"; do
        job=${jobs[$name]}
        wait "$job" || { say "$name is not ready, see the message above."; failed=1; }
    done
    return "$failed"
}
