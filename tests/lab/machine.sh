# shellcheck shell=bash
# What the lab needs of the machine itself: packages, the two daemons, and the
# lab's bridge, storage pool and profile in Incus. Sourced by up and down.

LOG_DIR=/var/log/incus
LXCFS_DIR=/var/lib/lxcfs
INCUSD=/usr/libexec/incus/incusd
PID_DIR=/run/$LAB

PACKAGES=(incus-base incus-client lxcfs dnsmasq-base nftables debootstrap rsync zstd
    openssh-client iproute2 procps)

# --- Packages ---------------------------------------------------------------

install_packages() {
    local package missing=()
    for package in "${PACKAGES[@]}"; do
        is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    say "Installing ${missing[*]}."
    run_apt update
    has_candidate incus-base || add_backports
    run_apt install --yes --no-install-recommends "${missing[@]}"
}

is_installed() { [[ $(dpkg-query --show --showformat '${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]; }

has_candidate() { [[ $(apt-cache policy "$1") =~ Candidate:\ [0-9] ]]; }

run_apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >"$LOG_DIR/apt.log" 2>&1 \
        || die "apt-get $1 failed: $(tail -n 5 "$LOG_DIR/apt.log")"
}

# Adds the backports suite of the archive in use. Only what has no other source
# comes from there: a priority of 1 lets nothing be replaced or upgraded by it,
# except Incus itself, which shall get its security updates.
add_backports() {
    local suite
    suite=$(codename)-backports
    say "Adding $suite of the archive in use to apt, for Incus alone."
    cat >"/etc/apt/sources.list.d/$LAB.sources" <<END
# Added by veza-play's tests/lab/up for Incus; pinned low in preferences.d.
Types: deb
URIs: $(archive_uri)
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
    cat >"/etc/apt/preferences.d/$LAB" <<END
Package: *
Pin: release n=$suite
Pin-Priority: 1

Package: incus-base incus-client
Pin: release n=$suite
Pin-Priority: 500
END
    run_apt update
    has_candidate incus-base || die "$suite holds no Incus: the lab needs Debian 12 or later."
}

# --- The machine's own archive ----------------------------------------------

# shellcheck source=/dev/null
codename() { (. /etc/os-release && printf '%s\n' "$VERSION_CODENAME"); }

archive_uri() {
    local uri
    uri=$(debian_sources | awk -v suite="$(codename)" '$3 == suite && $4 == "main" { print $2; exit }')
    [ -n "$uri" ] || die "No apt source of this machine offers Debian $(codename): the lab takes all packages from there."
    printf '%s\n' "$uri"
}

# The Debian archives that apt of this machine uses for its own release, as
# lines of a sources.list; foreign archives and backports are left out.
debian_sources() {
    local release
    release=$(codename)
    # shellcheck disable=SC2016 # apt-get expands the fields.
    apt-get indextargets --format '$(CODENAME) deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' "Architecture: $(dpkg --print-architecture)" \
        | awk -v base="$release" '$1 == base || $1 == base "-updates" || $1 == base "-security" {
            sub(/^[^ ]+ /, ""); print }'
}

# How apt of this machine reaches its archives, as far as the containers need
# the same: a proxy, or a mirror whose release files have expired.
apt_settings() {
    apt-config dump 2>/dev/null \
        | grep --extended-regexp '^Acquire::(Check-Valid-Until|Check-Date|https?::Proxy) ' || true
}

# --- Daemons ----------------------------------------------------------------

# A machine that systemd runs has units for both daemons. Elsewhere they are
# started by hand, in sessions of their own so that they outlive this shell.
start_daemons() {
    if [ -d /run/systemd/system ]; then
        systemctl start lxcfs.service incus.service
    else
        start_lxcfs
        start_incusd
    fi
    "$INCUSD" waitready --timeout 60 \
        || die "incusd does not get ready; its log is $LOG_DIR/incusd.log."
}

start_lxcfs() {
    if mountpoint --quiet "$LXCFS_DIR" && [ -e "$LXCFS_DIR/proc/meminfo" ]; then
        return
    fi
    umount --lazy "$LXCFS_DIR" 2>/dev/null || true
    mkdir -p "$LXCFS_DIR"
    start_detached lxcfs lxcfs "$LXCFS_DIR"
    wait_until 10 test -e "$LXCFS_DIR/proc/meminfo" \
        || die "lxcfs does not start; its log is $LOG_DIR/lxcfs.log."
}

start_incusd() {
    if daemon_answers; then
        return
    fi
    stop_by_pid_file incusd
    mkdir -p /run/incus
    start_detached incusd "$INCUSD" --group incus
}

restart_incusd() {
    if [ -d /run/systemd/system ]; then
        systemctl restart incus.service
        return
    fi
    stop_by_pid_file incusd
    start_daemons
}

# The lab's lock (descriptor 8) must not stay with the daemon.
start_detached() {
    local name=$1
    shift
    mkdir -p "$PID_DIR"
    setsid nohup "$@" </dev/null >>"$LOG_DIR/$name.log" 2>&1 8>&- &
    echo $! >"$PID_DIR/$name.pid"
}

# SIGTERM lets incusd go and its containers run on.
stop_by_pid_file() {
    local name=$1 pid
    pid=$(cat "$PID_DIR/$name.pid" 2>/dev/null) || return 0
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$name" ]; then
        kill "$pid"
        wait_until 15 process_is_gone "$pid" || kill -KILL "$pid"
    fi
    rm -f "$PID_DIR/$name.pid"
}

process_is_gone() { ! kill -0 "$1" 2>/dev/null; }

wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

# --- Kernel limits ----------------------------------------------------------

# The kernel counts what root of any container uses as one user's. Some 15
# containers use up its session keys, one for each unit that systemd starts, and
# its inotify instances: units then fail with "Required key not available" or
# "Too many open files".
raise_limits() {
    raise_limit kernel/keys/maxkeys 5000
    raise_limit kernel/keys/maxbytes 1000000
    raise_limit fs/inotify/max_user_instances 8192
}

raise_limit() {
    local file=/proc/sys/$1 wanted=$2
    [ "$(cat "$file")" -ge "$wanted" ] || printf '%s\n' "$wanted" >"$file"
}

# --- Bridge, storage pool, profile ------------------------------------------

# The profile comes last in the preseed: where it is, the rest is.
configure_incus() {
    if [ "$(incus profile get "$LAB" user.ssh_key 2>/dev/null)" != "$(cat "$KEY.pub")" ]; then
        say "Configuring the bridge $BRIDGE, a storage pool and a profile in Incus."
        preseed | incus admin init --preseed
    fi
    if ! network_is_up; then
        say "The bridge $BRIDGE is damaged: restarting incusd, which sets it up again."
        restart_incusd
        wait_until 20 network_is_up || die "incusd does not bring the bridge $BRIDGE up; its log is $LOG_DIR/incusd.log."
    fi
}

preseed() {
    cat <<END
networks:
  - name: $BRIDGE
    type: bridge
    description: veza-play's lab
    config:
      ipv4.address: $GATEWAY
      ipv4.nat: "true"
      ipv4.dhcp.ranges: $DYNAMIC_ADDRESSES
      ipv6.address: none
storage_pools:
  - name: $LAB
    driver: dir
profiles:
  - name: $LAB
    description: veza-play's lab
    config:
      boot.autostart: "false"
      user.ssh_key: "$(cat "$KEY.pub")"
    devices:
      root: { type: disk, path: /, pool: $LAB }
      eth0: { type: nic, name: eth0, network: $BRIDGE }
END
}

# The bridge has its address, its DHCP and DNS server lives, its NAT rules are there.
network_is_up() {
    local pid_file=/var/lib/incus/networks/$BRIDGE/dnsmasq.pid pid
    [[ $(ip -4 -brief address show dev "$BRIDGE" 2>/dev/null) == *"$GATEWAY"* ]] || return 1
    pid=$(sed -n 's/^pid: //p' "$pid_file" 2>/dev/null)
    [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || return 1
    nft list chain inet incus "pstrt.$BRIDGE" >/dev/null 2>&1
}
