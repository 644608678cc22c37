//! What comes from an archive or from apt may be anything.

use proptest::prelude::*;

use super::{accounts, dpkg, policy, script, simulate, tmpfiles};

const SCRIPT: &[&str] = &[
    "if ",
    "then\n",
    "else\n",
    "elif ",
    "fi\n",
    "case \"$1\" in\n",
    "configure)\n",
    ";;\n",
    "esac\n",
    "for x in a b; do\n",
    "while true; do\n",
    "done\n",
    "f() {\n",
    "}\n",
    "f\n",
    "f \"$@\"\n",
    "[ ",
    "]; ",
    "test -e /etc/app ",
    "\"$1\" = ",
    "&& ",
    "|| ",
    "! ",
    "; ",
    "$x",
    "${x:-",
    "}",
    "$(",
    ")",
    "`",
    "'",
    "\"",
    "\\\n",
    "\\",
    "<<EOF\n",
    "EOF\n",
    ">/etc/app\n",
    "x=1\n",
    "set -e\n",
    "exit 0\n",
    "return\n",
    "chown -R app:app /etc/app\n",
    "adduser --system app\n",
    "mkdir -p /var/lib/app\n",
    "ln -s a /etc/b\n",
    "cp a b\n",
    "rm -rf /etc/app\n",
    "chmod u+x /etc/app\n",
    "deb-systemd-helper enable 'a.service'\n",
    "update-rc.d a defaults\n",
    "#",
    "\n",
    "ä",
];

const LISTS: &[&str] = &[
    "Package: ",
    "app",
    "Status: install ok installed",
    "Version: ",
    "1:2-3",
    "Architecture: ",
    "Provides: a (= 1), b",
    "Conffiles:\n /etc/app 0",
    " obsolete",
    "Auto-Installed: 1",
    "Inst ",
    "Remv ",
    "Purg ",
    "[",
    "]",
    "(",
    ")",
    "app:\n",
    "  Candidate: ",
    "  Installed: (none)",
    "  Version table:\n",
    " *** 1 500\n",
    "     1 -1\n",
    "        500 http://x y/main\n",
    "u ",
    "g ",
    "m ",
    "- ",
    "d ",
    "0755 ",
    "~",
    "%",
    "/run/app ",
    "\"",
    ":",
    "=",
    ",",
    "\n",
    "\n\n",
    "\t",
    " ",
    "99999999999999999999",
    "ä",
];

fn text(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(prop::sample::select(pieces), 0..most);
    pieces.prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_script_makes_it_panic(postinst in text(SCRIPT, 60)) {
        script::follow(&[&postinst], &mut Vec::new());
        script::purge(&postinst);
    }

    #[test]
    fn no_list_makes_it_panic(text in text(LISTS, 40)) {
        let names = ["app".to_owned(), "app:i386".to_owned(), ":".to_owned()];
        let status = dpkg::Status::parse(&text);
        for name in &names {
            status.find(name);
        }
        policy::parse(&text, &names);
        simulate::parse(&text);
        tmpfiles::parse(&text);
        accounts::Accounts::default().sysusers(&text);
    }
}
