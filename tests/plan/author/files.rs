//! Tasks about files.

use super::{Author, Task, quoted, quoted_escaped};
use crate::pools::{ONE, TEXTS};

impl Author<'_> {
    pub(super) fn file(&mut self) -> Task {
        let path = self.path();
        let state = self.0.pick(&[
            "file",
            "directory",
            "directory",
            "link",
            "hard",
            "touch",
            "absent",
            "absent",
        ]);
        let mut optional = self.attributes();
        let mut given = vec![("state", quoted(state))];
        if state == "link" || state == "hard" {
            let targets = [
                "a.conf",
                "app",
                "../other",
                "nowhere",
                "/srv/app/conf",
                "/srv/a.txt",
                "/home/ann",
            ];
            let target = if state == "hard" {
                self.path()
            } else {
                self.0.pick(&targets)
            };
            given.push(("src", quoted(target)));
            optional.push(("force", "true".to_owned()));
        }
        if state == "directory" {
            optional.push(("recurse", "true".to_owned()));
        }
        if state == "absent" {
            optional.clear();
        } else {
            optional.push(("follow", "false".to_owned()));
        }
        let call = format!("file({path:?}{});", self.options(&given, &optional));
        Task {
            call,
            settles: state != "touch",
        }
    }

    pub(super) fn copy(&mut self) -> Task {
        let path = self.path();
        let mut optional = self.attributes();
        optional.extend([
            ("backup", "true".to_owned()),
            ("force", "false".to_owned()),
            ("follow", "true".to_owned()),
        ]);
        let given = match self.0.below(8) {
            0 => vec![("src", quoted("tree")), ("directory_mode", quoted("0750"))],
            1 => vec![("src", quoted("tree/a.conf"))],
            2 => vec![
                ("src", quoted(self.path())),
                ("remote_src", "true".to_owned()),
            ],
            3 => vec![
                ("content", quoted_escaped(self.0.pick(&TEXTS))),
                ("validate", quoted("grep -q one %s")),
            ],
            _ => vec![("content", quoted_escaped(self.0.pick(&TEXTS)))],
        };
        Task::settling(format!(
            "copy({path:?}{});",
            self.options(&given, &optional)
        ))
    }

    pub(super) fn template(&mut self) -> Task {
        let path = self.path();
        let optional = self.attributes();
        let given = match self.0.once_in(2) {
            true => vec![("vars", "#{ port: 80 }".to_owned())],
            false => Vec::new(),
        };
        Task::settling(format!(
            "template(\"a.j2\", {path:?}{});",
            self.options(&given, &optional)
        ))
    }

    pub(super) fn lineinfile(&mut self) -> Task {
        let path = self.path();
        let mut optional = self.attributes();
        optional.push(("create", "true".to_owned()));
        optional.push(("backup", "true".to_owned()));
        let (line, given) = match self.0.below(4) {
            0 => ("port = 81", vec![("regexp", quoted("^port"))]),
            1 => ("two", vec![("state", quoted("absent"))]),
            2 => ("last", vec![("insertafter", quoted("one"))]),
            _ => ("first", vec![("insertbefore", quoted("BOF"))]),
        };
        Task::settling(format!(
            "lineinfile({path:?}, {line:?}{});",
            self.options(&given, &optional)
        ))
    }

    pub(super) fn blockinfile(&mut self) -> Task {
        let path = self.path();
        let mut optional = self.attributes();
        optional.push(("create", "true".to_owned()));
        optional.push(("insertafter", quoted("one")));
        optional.push(("state", quoted("absent")));
        let block = self.0.pick(&["a\\nb\\n", "a\\n", ""]);
        Task::settling(format!(
            "blockinfile({path:?}, \"{block}\"{});",
            self.options(&[], &optional)
        ))
    }

    pub(super) fn get_url(&mut self) -> Task {
        let path = self.path();
        let page = self.0.pick(&["one", "one", "two", "none"]);
        let mut optional = self.attributes();
        optional.push(("backup", "true".to_owned()));
        match self.0.once_in(2) {
            true => optional.push(("checksum", quoted(ONE))),
            false => optional.push(("force", "true".to_owned())),
        }
        let options = self.options(&[], &optional);
        Task::settling(format!(
            "get_url(\"http://127.0.0.1:8099/{page}\", {path:?}{options});"
        ))
    }

    pub(super) fn unarchive(&mut self) -> Task {
        let dest = self.0.pick(&[
            "/srv/app",
            "/srv/other",
            "/srv/link",
            "/srv/a.txt",
            "/home/ann",
        ]);
        let mut optional = self.attributes();
        optional[2].1 = self.0.pick(&["\"0600\"", "\"0755\""]).to_owned();
        optional.extend([
            ("strip_components", "1".to_owned()),
            ("exclude", quoted("app/bin")),
            ("creates", quoted("/srv/app/app/bin")),
        ]);
        Task::settling(format!(
            "unarchive(\"app.tar.gz\", {dest:?}{});",
            self.options(&[], &optional)
        ))
    }

    pub(super) fn git(&mut self) -> Task {
        let dest = self.0.pick(&["/srv/app", "/srv/other", "/srv/checkout"]);
        let optional = [
            ("version", quoted(self.0.pick(&["v1", "main"]))),
            ("force", "true".to_owned()),
        ];
        let call = format!(
            "git(\"/usr/local/share/repo.git\", {dest:?}{});",
            self.options(&[], &optional)
        );
        Task::settling(match self.0.once_in(2) {
            true => format!("package(\"git\", #{{ install_recommends: false }}); {call}"),
            false => call,
        })
    }
}
