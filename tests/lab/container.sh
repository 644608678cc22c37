# shellcheck shell=bash
# Making a container of the lab: from the image to a host that answers and has
# a `clean` snapshot. Sourced by up and twin, after lib.sh and image.sh.

# A container is made again when its recipe or the lab's key is another.
current_stamp() { cat "$LAB_DIR/image.sh" "$LAB_DIR/container.sh" "$KEY.pub" | sha256sum | cut -c 1-16; }

is_current() { [ "$(incus config get "$1" "$STAMP" 2>/dev/null)" = "$(current_stamp)" ] && has_clean_snapshot "$1"; }

# Makes the container anew, in place of one that the lab made earlier, and
# prints its address. Without a given address it gets a dynamic one. Of several
# containers made at once, the first builds the image and the others wait.
make_container() {
    local name=$1 address=${2:-} device=()
    (lock_host image && ensure_image) || return 1
    remove_own_container "$name" || return 1
    if [ -n "$address" ]; then
        device=(--device "eth0,ipv4.address=$address")
    fi
    say "Making $name."
    incus launch "$LAB" "$name" --profile "$LAB" "${device[@]}" \
        --config "$STAMP=$(current_stamp)" </dev/null >/dev/null || return 1
    wait_for_host "$name" >/dev/null || return 1
    # Taken of a host at rest, for a restored one must not look like one that crashed.
    incus stop "$name" --timeout 20 </dev/null 2>/dev/null || incus stop --force "$name" </dev/null
    incus snapshot create "$name" clean </dev/null || return 1
    incus start "$name" </dev/null || return 1
    wait_for_host "$name"
}

remove_own_container() {
    local name=$1
    container_exists "$name" || return 0
    is_ours "$name" || die "Incus has a container $name that the lab did not make: rename or delete it first."
    incus delete --force "$name" </dev/null
}
