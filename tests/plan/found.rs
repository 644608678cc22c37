//! Plays whose plans were wrong once, reduced to what it took.

/// What each is about, and its play's body.
pub const FOUND: [(&str, &str); 12] = [
    (
        "a user who has no home directory of his own keeps a journal",
        r#"as_user("www-data", || file("/tmp/touched", #{ state: "touch" }));"#,
    ),
    (
        "a user as whom tasks ran goes in the same run",
        r#"
        user("eve");
        as_user("eve", || file("/home/eve/notes", #{ state: "touch" }));
        user("eve", #{ state: "absent", remove: true });
        "#,
    ),
    (
        "nobody becomes a user who has gone",
        r#"
        user("ivy");
        as_user("ivy", || file("/home/ivy/notes", #{ state: "touch" }));
        user("ivy", #{ state: "absent" });
        try { as_user("ivy", || file("/tmp/ivy", #{ state: "touch" })); } catch { log("refused"); }
        "#,
    ),
    (
        "a user as whom something runs does not go",
        r#"try { user("messagebus", #{ state: "absent" }); } catch { log("refused"); }"#,
    ),
    (
        "a user who is refused is not there for later tasks",
        r#"
        try { user("fay", #{ groups: "missing" }); } catch { log("refused"); }
        try { user("gus", #{ group: "54321" }); } catch { log("refused"); }
        user("fay", #{ state: "absent" });
        user("gus", #{ state: "absent" });
        "#,
    ),
    (
        "useradd passes over the end of a system user",
        r#"user("hal", #{ system: true, expires: "2030-12-31" });"#,
    ),
    (
        "a package goes and comes back",
        r#"
        package("tree");
        package("tree", #{ state: "absent", purge: true });
        package("tree");
        log(`${stat("/usr/bin/tree").exists}`);
        "#,
    ),
    (
        "a command makes the directory of what it makes",
        r#"
        command("install -D /dev/null /srv/made/below/file", #{ creates: "/srv/made/below/file" });
        file("/srv/made", #{ state: "absent" });
        "#,
    ),
    (
        "a file is refused for its directory before it is judged",
        r#"
        try { copy("/srv/none/x", #{ content: "x", validate: "false %s" }); } catch { log("refused"); }
        try { copy("/srv/x", #{ content: "x", group: "none", validate: "false %s" }); } catch { log("refused"); }
        "#,
    ),
    (
        "a unit whose condition is not met is not started",
        r#"
        copy("/etc/systemd/system/asks.service", #{
            content: "[Unit]\nConditionPathExists=/etc/asked\n[Service]\nExecStart=/bin/sleep 1000\n",
        });
        try { systemd("asks", #{ state: "started" }); } catch { log("refused"); }
        "#,
    ),
    (
        "without polkit units are root's",
        r#"
        try { as_user("deploy", || systemd("cron", #{ daemon_reload: true })); } catch { log("refused"); }
        "#,
    ),
    (
        "a package that does more than bring files does not bring any file",
        r#"
        package("git", #{ install_recommends: false });
        try { lineinfile("/srv/none", "x", #{ state: "absent" }); } catch { log("refused"); }
        try { lineinfile("/srv/none", "x"); } catch { log("refused"); }
        copy("/srv/none", #{ content: "x" });
        "#,
    ),
];
