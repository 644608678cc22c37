#!/bin/sh
# Managed by veza-play; changes made here are lost.
# How systemd reloads haproxy: new processes begin with what the old ones know
# of their servers. The old ones serve on if the new ones cannot, and that is
# no success.
set -eu

state=/var/lib/haproxy/server-state

ask() {
    echo "$2" | socat -t5 - "UNIX-CONNECT:/run/$1"
}

# haproxy believes a saved port, and whether TLS is spoken, more than its new
# configuration. So these two are taken from there. An address is not believed
# (init-addr), and a server that is no longer there is passed over.
server_states() {
    ask haproxy/admin.sock "show servers state" | awk '
        NR == FNR && $1 == "backend" { backend = $2 }
        NR == FNR && $1 == "server" {
            colons = split($3, parts, ":")
            port[backend, $2] = parts[colons]
            tls[backend, $2] = / ssl / ? 1 : 0
        }
        NR == FNR { next }
        ($2, $4) in port { $19 = port[$2, $4]; $21 = tls[$2, $4] }
        { print; lines++ }
        END { exit !lines }
    ' "$CONFIG" -
}

# Two numbers: of reloads since the start, and of those since the last good one.
reloads() {
    ask haproxy-master.sock "show proc" 2>/dev/null | awk '$2 == "master" { print $3, $5 + 0 }'
}

if server_states >"$state.new"; then
    mv "$state.new" "$state"
else
    echo "What haproxy knows of its servers cannot be saved: the new processes begin without it." >&2
    echo 1 >"$state"
fi

before=$(reloads)
if [ -z "$before" ]; then
    echo "The master process does not answer at /run/haproxy-master.sock." >&2
    exit 1
fi
began=$(date +%s)
kill -USR2 "$MAINPID"
# While it loads it does not answer. systemd sets the limit.
after=$before
while [ -z "$after" ] || [ "${after% *}" = "${before% *}" ]; do
    kill -0 "$MAINPID"
    sleep 0.1
    after=$(reloads)
done
if [ "${after#* }" != 0 ]; then
    # Last in the journal shall be what counts, when systemd tells of the failure.
    journalctl --sync
    journalctl --quiet --output=cat --since="@$began" --unit=haproxy.service | grep ALERT >&2 || :
    echo "No new processes came up; the old ones serve on." >&2
    journalctl --sync
    exit 1
fi
