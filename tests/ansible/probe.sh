# Sourced before each probe: what is at a path, without what no two runs share
# (times, inode numbers, the time in a backup's name).

look() {
    for path; do
        if [ ! -e "$path" ] && [ ! -L "$path" ]; then
            echo "$path: nothing"
            continue
        fi
        find "$path" | LC_ALL=C sort | while read -r found; do
            stat -c '%n %A %U:%G links=%h' "$found" | sed -E 's/\.([0-9]+\.)?[0-9]{4}-[0-9]{2}-[0-9]{2}@[0-9:]{8}~/.BACKUP/'
            [ ! -L "$found" ] || readlink "$found"
            [ -L "$found" ] || [ ! -f "$found" ] || sha256sum <"$found"
        done
    done
}

# An account, without the day of the last change of its password.
account() {
    for name; do
        getent passwd "$name" || echo "$name: no user"
        getent shadow "$name" | cut -d: -f1,2,4-
        id -nG "$name" 2>/dev/null | tr ' ' '\n' | LC_ALL=C sort | xargs
        grep "^$name:" /etc/subuid /etc/subgid
        home=$(getent passwd "$name" | cut -d: -f6)
        [ -z "$home" ] || look "$home"
    done
}

# Whether packages are there, in which version, and as whose wish.
packages() {
    for name; do
        dpkg-query -W -f '${Package} ${db:Status-Abbrev} ${Version}\n' "$name" 2>/dev/null || echo "$name: unknown"
        apt-mark showmanual "$name"
    done
}

# The state of units, and what they wrote when they were started and reloaded.
units() {
    for name; do
        echo "$name $(systemctl is-enabled "$name" 2>&1) $(systemctl is-active "$name" 2>&1)"
        cat "/run/$name.log" 2>/dev/null
    done
}

# For `prepare`: makes a unit that logs what it is told.
unit() {
    for name; do
        cat >"/etc/systemd/system/$name.service" <<END
[Service]
ExecStart=/bin/sh -c 'echo start >>/run/$name.log; exec sleep infinity'
ExecReload=/bin/sh -c 'echo reload >>/run/$name.log'
[Install]
WantedBy=multi-user.target
END
    done
    systemctl daemon-reload
}

# A working copy of git: where it comes from, what is checked out, and whether
# it was changed.
copy() {
    for path; do
        git -C "$path" remote get-url origin
        git -C "$path" rev-parse HEAD
        git -C "$path" status --porcelain
        find "$path" -name .git -prune -o -type f -print | LC_ALL=C sort | xargs sha256sum
    done
}
