//! Pebble, a small ACME authority, in a container of the lab: of Debian trixie,
//! whose programs run on bookworm too.

use std::path::PathBuf;

use super::lab::trixie;

/// Starts the authority in the container that has its programs in /root/pebble.
/// It asks every name at this machine's own port 80. Its certificate is its
/// own, and it takes one account key and nonce as good as another. Says nothing
/// unless it fails.
pub const START: &str = r#"
cd /root/pebble
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2>/dev/null
cat >config.json <<END
{ "pebble": {
    "listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
    "certificate": "/root/pebble/cert.pem", "privateKey": "/root/pebble/key.pem",
    "httpPort": 80, "tlsPort": 443, "domainBlocklist": ["blocked.example"],
    "certificateValidityPeriod": 7776000
} }
END
systemd-run --quiet --unit=challtestsrv /root/pebble/pebble-challtestsrv -dns01 127.0.0.1:8053 \
    -defaultIPv4 127.0.0.1 -defaultIPv6 '' -http01 '' -https01 '' -tlsalpn01 '' -doh '' \
    -management 127.0.0.1:8055
systemd-run --quiet --unit=pebble -E PEBBLE_VA_NOSLEEP=1 -E PEBBLE_WFE_NONCEREJECT=0 \
    /root/pebble/pebble -config /root/pebble/config.json -dnsserver 127.0.0.1:8053 -strict
for try in $(seq 100); do
    printf 'GET /roots/0 HTTP/1.0\r\n\r\n' \
        | openssl s_client -quiet -connect 127.0.0.1:15000 2>/dev/null \
        | sed -n '/BEGIN/,/END/p' >root.pem
    grep -q END root.pem && exit
    sleep 0.1
done
journalctl -u pebble -u challtestsrv
"#;

/// Its programs on this machine; none, and loudly, where they cannot be had.
pub fn programs() -> Option<[PathBuf; 2]> {
    let root = trixie("pebble", &["pebble"])?;
    let program = |name: &str| root.join("usr/bin").join(name);
    Some(["pebble", "pebble-challtestsrv"].map(program))
}
