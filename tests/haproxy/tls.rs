//! Real certificates for two domains, from pebble, a small ACME authority: got
//! through haproxy, served by name, renewed.

use super::support::pebble;
use super::twin::Twin;

const SITE: &str = r#"
haproxy::role(#{
    letsencrypt: true, api_hosts: ["localhost"], stream_server_fallback: [],
    addresses: #{ localhost: "127.0.0.1" },
});
letsencrypt::role(#{
    letsencrypt_domains: vars.get("domains", ["one.example www.one.example", "two.example"]) + vars.get("more", []),
    letsencrypt_email: vars.get("email", "admin@one.example"),
    ca: "https://localhost:14000/dir",
    ca_file: "/root/pebble/cert.pem",
    dehydrated_repo: "/srv/dehydrated",
    dehydrated_revision: vars.get("revision", ""),
    force_renewal: vars.get("renew", false),
    renew_at: vars.get("at", "daily"),
});
"#;

/// A repository with dehydrated in it, and its one commit.
const REPOSITORY: &str = r#"
apt-get -qq install --yes git dehydrated >/dev/null 2>&1
git init --quiet /srv/dehydrated && cd /srv/dehydrated && cp /usr/bin/dehydrated .
git add . && git -c user.name=x -c user.email=x@example.org commit --quiet -m x && git rev-parse HEAD
apt-get -qq purge --yes dehydrated >/dev/null 2>&1
"#;

const RELOADS: &str = "journalctl -u haproxy -o cat | grep -c '^Reloaded '";

/// A host with the authority on it.
fn with_authority(name: &'static str) -> Option<Twin> {
    let twin = Twin::clean(name)?;
    let programs = pebble::programs()?;
    twin.inside("apt-get -qq install --yes curl openssl && mkdir -p /root/pebble");
    for program in &programs {
        let name = program.file_name().and_then(|name| name.to_str());
        let name = name.expect("a program has a name");
        twin.push(program, &format!("/root/pebble/{name}"));
    }
    assert_eq!(twin.inside(pebble::START), "", "pebble does not start");
    let imports = "import \"haproxy\" as haproxy;\nimport \"letsencrypt\" as letsencrypt;";
    twin.play(imports, SITE);
    Some(twin)
}

impl Twin {
    /// Who the certificate that a client is shown is for, as a trusting client
    /// sees it, and its number.
    fn shown(&self, name: &str) -> (String, String) {
        let said = self.inside(&format!(
            "echo | openssl s_client -connect 127.0.0.1:443 -servername {name} -verify_hostname {name} \
             -CAfile /root/pebble/root.pem -verify_return_error 2>/dev/null \
             | openssl x509 -noout -serial -ext subjectAltName"
        ));
        let (serial, names) = said.split_once('\n').unwrap_or((&said, ""));
        let names = names.lines().last().unwrap_or_default().trim();
        (names.to_owned(), serial.to_owned())
    }

    fn serials(&self) -> [String; 2] {
        ["one.example", "two.example"].map(|name| self.shown(name).1)
    }

    fn reloads(&self) -> u32 {
        let count = self.inside(RELOADS);
        count.trim().parse().expect("a number")
    }
}

#[test]
fn certificates_come_are_served_by_name_and_are_renewed() {
    let Some(twin) = with_authority("veza-role-tls") else {
        return;
    };
    twin.keeps_its_promise(&[]);
    assert_eq!(
        twin.shown("one.example").0,
        "DNS:one.example, DNS:www.one.example"
    );
    assert_eq!(twin.shown("www.one.example"), twin.shown("one.example"));
    assert_eq!(twin.shown("two.example").0, "DNS:two.example");
    let files = twin.inside("cd /usr/local/etc/tls/haproxy && stat -c '%A %U:%G %n' $(ls -A)");
    assert_eq!(
        files,
        "-rw------- root:root one.example.pem\n-rw------- root:root two.example.pem\n"
    );

    // Anew, all at once: one reload.
    let (before, reloads) = (twin.serials(), twin.reloads());
    twin.run(&["--set", "renew=true"]).ended_with(0);
    let after = twin.serials();
    assert!(before[0] != after[0] && before[1] != after[1], "{after:?}");
    assert_eq!(twin.reloads(), reloads + 1);

    // Nothing to renew: the daily unit works, and does nothing.
    twin.run(&[]).ended_with(0).says("No changes");
    let unit = twin.inside("systemctl start dehydrated && systemctl is-active dehydrated.timer");
    assert_eq!(unit, "active\n");
    assert_eq!(
        (twin.serials(), twin.reloads()),
        (after.clone(), reloads + 1)
    );

    // What is about to end is renewed by that unit, in its sandbox.
    twin.inside("sed -i 's/^RENEW_DAYS=.*/RENEW_DAYS=200/' /etc/dehydrated/config");
    assert_eq!(twin.inside("systemctl start dehydrated"), "");
    let renewed = twin.serials();
    assert!(after[0] != renewed[0] && after[1] != renewed[1]);
    assert_eq!(twin.reloads(), reloads + 2);
    twin.run(&[]).ended_with(0);

    // A lost file is put back without a new certificate.
    twin.inside("rm /usr/local/etc/tls/haproxy/two.example.pem");
    twin.keeps_its_promise(&[]);
    assert_eq!((twin.serials(), twin.reloads()), (renewed, reloads + 3));

    forgets_no_reload(&twin);
    withdraws_what_is_no_longer_listed(&twin);

    twin.keeps_its_promise(&["--set", "email=other@one.example"]);
    let account = twin.inside("cat /var/lib/dehydrated/accounts/*/registration_info.json");
    assert!(account.contains("mailto:other@one.example"), "{account}");

    for wrong in [
        "at=whenever",
        "more=[\"\"]",
        "more=[\"three.example > three\"]",
    ] {
        let ran = twin.run(&["--set", wrong, "--check"]).ended_with(3);
        let what = wrong.split_once('=').expect("a value").1;
        ran.says(what.trim_matches(['[', ']', '"']));
    }
}

/// haproxy cannot be reloaded when the certificates come.
fn forgets_no_reload(twin: &Twin) {
    let reloads = twin.reloads();
    let unit = twin.inside(
        "cd /etc/haproxy && cp -p haproxy.cfg good && sed -i 's/^    bind .:80$/&\\n    bind *:8888/' haproxy.cfg; \
         rm /usr/local/etc/tls/haproxy/two.example.pem; systemctl start dehydrated; \
         systemctl is-failed dehydrated; mv good haproxy.cfg",
    );
    assert!(unit.ends_with("failed\n"), "{unit}");
    assert_eq!(twin.reloads(), reloads);
    let ran = twin.run(&["--check"]).ended_with(0);
    ran.says("haproxy.service (reload)");
    twin.keeps_its_promise(&[]);
    assert_eq!(twin.reloads(), reloads + 1);
}

fn withdraws_what_is_no_longer_listed(twin: &Twin) {
    twin.inside(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=own.example -keyout own -out own; \
         mv own /usr/local/etc/tls/haproxy/own.example.pem",
    );
    let (serials, reloads) = (twin.serials(), twin.reloads());
    let one = "domains=[\"one.example www.one.example\"]";
    twin.keeps_its_promise(&["--set", one]);
    let files = twin.inside("ls -A /usr/local/etc/tls/haproxy");
    assert_eq!(files, "one.example.pem\nown.example.pem\n");
    assert_ne!(twin.shown("two.example").0, "DNS:two.example");
    assert_eq!(twin.reloads(), reloads + 1);
    // It is valid yet when it is listed again.
    twin.run(&[]).ended_with(0);
    assert_eq!(twin.serials(), serials);
}

#[test]
fn a_certificate_that_is_refused_is_told_each_time() {
    let Some(twin) = with_authority("veza-role-tls-refused") else {
        return;
    };
    let revision = format!("revision={}", twin.inside(REPOSITORY).trim());
    let pinned = ["--set", &revision];
    twin.keeps_its_promise(&pinned);
    assert!(
        twin.inside("ls /usr/bin/dehydrated")
            .contains("No such file")
    );
    let before = twin.serials();
    let more = [&pinned[..], &["--set", "more=[\"blocked.example\"]"]].concat();
    twin.run(&[&more[..], &["--check"]].concat()).ended_with(0);
    for _ in 0..2 {
        let ran = twin.run(&more).ended_with(3);
        ran.says("dehydrated --cron").says("blocked.example");
        ran.says("rejectedIdentifier");
    }
    assert_eq!(twin.serials(), before);
    // Renewal goes on with the others, and says that one failed.
    let unit = twin.inside(
        "rm /usr/local/etc/tls/haproxy/two.example.pem; systemctl start dehydrated; \
         systemctl is-failed dehydrated; ls /usr/local/etc/tls/haproxy",
    );
    assert!(unit.contains("\nfailed\n"), "{unit}");
    assert!(
        unit.ends_with("one.example.pem\ntwo.example.pem\n"),
        "{unit}"
    );
}
