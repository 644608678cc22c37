//! What random plays are about: small pools, so that tasks meet each other.

pub const PATHS: [&str; 26] = [
    "/srv/app",
    "/srv/app/conf",
    "/srv/app/conf/a.conf",
    "/srv/app/conf/b.conf",
    "/srv/app/current",
    "/srv/app/current/a.conf",
    "/srv/app/releases/1",
    "/srv/app/releases/1/bin",
    "/srv/other",
    "/srv/other/a.conf",
    "/srv/a.txt",
    "/srv/link",
    "/srv/link/a.conf",
    "/etc/nginx",
    "/etc/nginx/nginx.conf",
    "/etc/nginx/conf.d",
    "/etc/nginx/conf.d/site.conf",
    "/etc/nginx/sites-enabled/default",
    "/var/www/html",
    "/var/www/html/index.nginx-debian.html",
    "/etc/memcached.conf",
    "/etc/default/cron",
    "/usr/games/cowsay",
    "/home/ann",
    "/home/ann/notes",
    "/home/bob/.profile",
];
/// What the packages bring, and some of what the tasks make.
pub const BROUGHT: [&str; 12] = [
    "/usr/bin/tree",
    "/usr/bin/ncal",
    "/usr/sbin/nginx",
    "/usr/sbin/atd",
    "/usr/share/nginx",
    "/etc/logrotate.conf",
    "/etc/logrotate.d",
    "/etc/at.deny",
    "/etc/systemd/system/multi-user.target.wants/nginx.service",
    "/etc/systemd/system/app.service",
    "/etc/sysctl.d/99-veza.conf",
    "/etc/cron.d/jobs",
];
pub const TEXTS: [&str; 5] = [
    "",
    "one\\n",
    "one\\ntwo\\n",
    "# comment\\nport = 80\\nname = x\\n",
    "no newline at the end",
];
pub const MODES: [&str; 9] = [
    "\"0644\"",
    "\"0600\"",
    "\"0755\"",
    "0o750",
    "\"2775\"",
    "\"u+x\"",
    "\"go-rwx\"",
    "\"u=rwX,g=rX,o=\"",
    "\"1777\"",
];
pub const USERS: [&str; 8] = [
    "ann", "bob", "cid", "root", "daemon", "www-data", "memcache", "1234",
];
pub const MADE_USERS: [&str; 4] = ["ann", "bob", "cid", "memcache"];
pub const GROUPS: [&str; 8] = [
    "ann", "bob", "team", "staff", "adm", "www-data", "memcache", "4321",
];
pub const MADE_GROUPS: [&str; 4] = ["team", "ops", "ann", "memcache"];
pub const PACKAGES: [&str; 9] = [
    "tree",
    "ncal",
    "cowsay",
    "nginx-light",
    "memcached",
    "cron",
    "at",
    "logrotate",
    "rsync",
];
pub const UNITS: [&str; 11] = [
    "app",
    "app",
    "once",
    "broken",
    "app.timer",
    "nginx",
    "memcached",
    "cron",
    "atd",
    "rsync",
    "logrotate.timer",
];
pub const UNIT_FILES: [(&str, &str); 7] = [
    (
        "app.service",
        "[Service]\\nExecStart=/bin/sleep 1000\\n[Install]\\nWantedBy=multi-user.target\\n",
    ),
    (
        "app.service",
        "[Unit]\\nDescription=App\\n[Service]\\nExecStart=/bin/sleep 2000\\nExecReload=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n",
    ),
    (
        "app.service",
        "[Service]\\nUser=ann\\nExecStart=/bin/sleep 1000\\n",
    ),
    (
        "once.service",
        "[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\nAlias=einmal.service\\n",
    ),
    (
        "broken.service",
        "[Service]\\nType=oneshot\\nExecStart=/bin/false\\n[Install]\\nWantedBy=multi-user.target\\n",
    ),
    (
        "app.timer",
        "[Timer]\\nOnCalendar=yearly\\n[Install]\\nWantedBy=timers.target\\n",
    ),
    ("nginx.service.d/own.conf", "[Service]\\nNice=5\\n"),
];
pub const KEYS: [&str; 3] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeTCyzQBhDxBkfbPBrBLBqZqjAnIoEDrnvYDJyZLjXZ ops",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAme9JgpSRdsUO+xqErPvf413ATZDJWOKIwfq9rk5FG team",
    "no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeTCyzQBhDxBkfbPBrBLBqZqjAnIoEDrnvYDJyZLjXZ ops",
];
/// The digest of the server's page `one`.
pub const ONE: &str = "sha256:2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806";
