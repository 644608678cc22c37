# shellcheck shell=bash
# The image that all containers of the lab start from: a minimal Debian of the
# machine's own release with a real systemd and sshd, built once with
# debootstrap and kept in the cache under a hash of this recipe. Sourced by up.

IMAGE_PACKAGES=(systemd systemd-sysv systemd-resolved udev dbus libnss-resolve iproute2
    openssh-server cron sudo ca-certificates procps)

# An archive drops superseded versions, so the package lists inside an image
# age: an older tarball is built again instead of imported.
IMAGE_MAX_AGE_DAYS=14

# Makes sure that Incus has the image of this recipe, under the alias that env
# files name it by.
ensure_image() {
    local key built
    key=$(image_hash)
    if ! incus image info "$LAB/$key" >/dev/null 2>&1; then
        built=$CACHE_DIR/image-$key
        if [ -z "$(find "$built/rootfs.tar.zst" -mtime "-$IMAGE_MAX_AGE_DAYS" 2>/dev/null)" ]; then
            build_image "$built"
        fi
        import_image "$built" "$LAB/$key"
    fi
    name_image "$LAB/$key"
}

name_image() {
    local fingerprint
    fingerprint=$(fingerprint_of "$1")
    [ "$(fingerprint_of "$LAB")" != "$fingerprint" ] || return 0
    incus image alias delete "$LAB" >/dev/null 2>&1 || true
    incus image alias create "$LAB" "$fingerprint" </dev/null
}

fingerprint_of() { incus image info "$1" 2>/dev/null | sed -n 's/^Fingerprint: //p'; }

image_hash() {
    { cat "$LAB_DIR/image.sh" && debian_sources && apt_settings; } | sha256sum | cut -c 1-16
}

# An import that was cut off can leave an image without its alias, in which
# case the same files are refused. It is removed first.
import_image() {
    local built=$1 alias=$2 fingerprint
    fingerprint=$(cat "$built/metadata.tar.gz" "$built/rootfs.tar.zst" | sha256sum | cut -d ' ' -f 1)
    incus image delete "$fingerprint" >/dev/null 2>&1 || true
    say "Importing the image."
    incus image import "$built/metadata.tar.gz" "$built/rootfs.tar.zst" --alias "$alias" </dev/null >&2
}

# --- Building ---------------------------------------------------------------

# Builds beside the final directory and renames at the end: what bears the
# final name is complete.
build_image() {
    local built=$1 work
    for work in "$CACHE_DIR"/build.??????; do
        discard_build "$work"
    done
    work=$(mktemp --directory "$CACHE_DIR/build.XXXXXX")
    # shellcheck disable=SC2064 # The directory is known now and local to this function.
    trap "discard_build '$work'" EXIT
    say "Building the image with debootstrap (about a minute, kept in $CACHE_DIR)."
    bootstrap "$work/rootfs" >"$CACHE_DIR/build.log" 2>&1 \
        || die "Building the image failed: $(tail -n 5 "$CACHE_DIR/build.log") The whole log is $CACHE_DIR/build.log."
    pack "$work" || die "Packing the image in $CACHE_DIR failed, see the message above."
    rm -rf --one-file-system "$work/rootfs" "$built"
    mv "$work" "$built"
    trap - EXIT
}

# A build that was cut off leaves what debootstrap had mounted.
discard_build() {
    umount --lazy "$1/rootfs/proc" "$1/rootfs/sys" 2>/dev/null || true
    rm -rf --one-file-system "$1"
}

bootstrap() {
    local root=$1 include
    include=$(IFS=, && printf '%s' "${IMAGE_PACKAGES[*]}")
    use_proxy_of_apt
    debootstrap --variant=minbase --include="$include" "$(codename)" "$root" "$(archive_uri)" || return 1
    configure_apt "$root" || return 1
    configure_network "$root" || return 1
    configure_ssh "$root" || return 1
    configure_users "$root" || return 1
    configure_boot "$root"
}

# debootstrap downloads with wget, which knows nothing of apt's settings.
use_proxy_of_apt() {
    local proxy=
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    if [ -n "$proxy" ] && [ "$proxy" != DIRECT ]; then
        export http_proxy=${http_proxy:-$proxy}
    fi
}

# The machine's own archives, with their lists fetched once, so that a test
# installs a package without an update.
configure_apt() {
    local root=$1
    debian_sources >"$root/etc/apt/sources.list"
    apt_settings >"$root/etc/apt/apt.conf.d/90lab"
    rm -f "$root/etc/resolv.conf"
    cat /etc/resolv.conf >"$root/etc/resolv.conf"
    chroot "$root" apt-get -qq update || return 1
    chroot "$root" apt-get clean
    # Nothing but the tests shall take apt's locks.
    chroot "$root" systemctl mask apt-daily.timer apt-daily-upgrade.timer
}

configure_network() {
    local root=$1
    ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
    cat >"$root/etc/systemd/network/eth0.network" <<'END'
[Match]
Name=eth0

[Network]
DHCP=ipv4
LinkLocalAddressing=no

[DHCPv4]
ClientIdentifier=mac
END
    chroot "$root" systemctl enable systemd-networkd.service systemd-resolved.service
}

# Each container makes its own host keys on its first boot.
configure_ssh() {
    local root=$1
    rm -f "$root"/etc/ssh/ssh_host_*
    cat >"$root/etc/systemd/system/ssh-host-keys.service" <<'END'
[Unit]
Description=Make this host's SSH keys on its first boot
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
END
    chroot "$root" systemctl enable ssh-host-keys.service
}

# The key that opens both accounts comes from the profile, see pack.
configure_users() {
    local root=$1
    chroot "$root" useradd --create-home --shell /bin/bash deploy || return 1
    install --directory --mode 700 "$root/root/.ssh" || return 1
    chroot "$root" install --directory --mode 700 --owner deploy --group deploy /home/deploy/.ssh || return 1
    install --mode 440 /dev/stdin "$root/etc/sudoers.d/deploy" <<<'deploy ALL=(ALL) NOPASSWD: ALL'
}

# Units that have nothing to do in a container; an empty machine-id is filled
# at the first boot, each container's with its own.
configure_boot() {
    local root=$1
    chroot "$root" systemctl mask systemd-networkd-wait-online.service e2scrub_reap.service \
        console-getty.service
    : >"$root/etc/machine-id"
    rm -f "$root/var/lib/dbus/machine-id"
}

# Incus fills in the templates when it makes a container. The public key of the
# lab stands in the profile, so whoever makes one from this image can log in.
pack() {
    local work=$1
    tar --create --zstd --numeric-owner --xattrs --file "$work/rootfs.tar.zst" \
        --directory "$work/rootfs" . || return 1
    mkdir "$work/templates"
    echo '{{ instance.name }}' >"$work/templates/hostname.tpl"
    printf '127.0.0.1 localhost\n127.0.1.1 {{ instance.name }}\n::1 localhost\n' >"$work/templates/hosts.tpl"
    echo '{{ config_get("user.ssh_key", "") }}' >"$work/templates/authorized_keys.tpl"
    cat >"$work/metadata.yaml" <<END
architecture: $(uname -m)
creation_date: $(date +%s)
properties:
  description: Debian $(codename) for veza-play's lab
templates:
  /etc/hostname: { when: [create, copy], template: hostname.tpl }
  /etc/hosts: { when: [create, copy], template: hosts.tpl }
  /root/.ssh/authorized_keys: { when: [create], template: authorized_keys.tpl }
  /home/deploy/.ssh/authorized_keys: { when: [create], template: authorized_keys.tpl }
END
    tar --create --gzip --remove-files --file "$work/metadata.tar.gz" \
        --directory "$work" metadata.yaml templates
}
