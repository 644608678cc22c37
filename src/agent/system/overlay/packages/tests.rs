//! What a dry run knows after packages came or went.

use std::path::PathBuf;

use super::super::fake::{self, Fake};
use super::*;
use crate::content::Content;
use crate::effect::{Attributes, Effect};
use crate::system::{Group, System, User};

fn file(path: &str, text: &str) -> PackagedFile {
    PackagedFile {
        path: PathBuf::from(path),
        kind: FileKind::File,
        attributes: Attributes {
            owner: Some("root".to_owned()),
            group: Some("app".to_owned()),
            mode: Some(0o640),
        },
        content: Some(Content::of(text.as_bytes())),
        target: None,
        modified: Some(7),
        configuration: true,
    }
}

fn directory(path: &str) -> PackagedFile {
    PackagedFile {
        kind: FileKind::Directory,
        content: None,
        ..file(path, "")
    }
}

fn app() -> Transaction {
    Transaction {
        installed: vec![
            ("app".to_owned(), "1.2-3".to_owned()),
            ("libapp1".to_owned(), "1.2-3".to_owned()),
        ],
        provided: vec![("server".to_owned(), "app".to_owned())],
        files: vec![directory("/etc/app"), file("/etc/app/app.conf", "a = 1\n")],
        units: vec![PackagedUnit {
            name: "app.service".to_owned(),
            file_state: "enabled".to_owned(),
            active: true,
        }],
        users: vec![User {
            name: "app".to_owned(),
            uid: None,
            group: "app".to_owned(),
            comment: String::new(),
            home: PathBuf::from("/nonexistent"),
            shell: "/usr/sbin/nologin".to_owned(),
            password: None,
            expires: None,
        }],
        groups: vec![Group {
            name: "app".to_owned(),
            gid: None,
            members: Vec::new(),
        }],
        members: vec![("app".to_owned(), "adm".to_owned())],
        ..Transaction::default()
    }
}

fn install(name: &str) -> Effect {
    Effect::InstallPackages {
        packages: vec![PackageRequest {
            name: name.to_owned(),
            version: None,
        }],
        options: InstallOptions::default(),
    }
}

fn remove(name: &str, purge: bool) -> Effect {
    Effect::RemovePackages {
        names: vec![name.to_owned()],
        options: RemoveOptions {
            purge,
            ..RemoveOptions::default()
        },
    }
}

#[test]
fn a_package_that_went_in_the_same_run_can_come_back() {
    let mut host = fake::overlay(Fake {
        packages: fake::installed(&[("app", "1.2-3")]),
        install: app(),
        removal: Transaction {
            removed: vec!["app".to_owned()],
            gone: vec![PathBuf::from("/etc/app/app.conf")],
            ..Transaction::default()
        },
        ..Fake::default()
    });
    host.perform(remove("app", false))
        .expect("it can be removed");
    let mut install = install("app");
    if let Effect::InstallPackages { packages, .. } = &mut install {
        packages[0].version = Some("1.2-3".to_owned());
    }
    host.perform(install).expect("it can be installed");
    let known = host.packages(&["app".to_owned()]).expect("packages");
    assert_eq!(known["app"].state, PackageState::Installed);
    let conf = host.stat(Path::new("/etc/app/app.conf")).expect("stat");
    assert!(conf.present().is_some(), "its files are there again");
}

#[test]
fn a_unit_goes_with_its_package() {
    let file_of_unit = "/usr/lib/systemd/system/app.service";
    let mut install_app = app();
    install_app.files.push(PackagedFile {
        configuration: false,
        ..file(file_of_unit, "[Service]\nExecStart=/bin/app\n")
    });
    let mut host = fake::overlay(Fake {
        install: install_app,
        removal: Transaction {
            removed: vec!["app".to_owned()],
            gone: vec![PathBuf::from(file_of_unit)],
            ..Transaction::default()
        },
        ..Fake::default()
    });
    host.perform(install("app")).expect("it can be installed");
    let unit = |host: &crate::system::overlay::Overlay| {
        host.unit("app.service", &Scope::System).expect("unit")
    };
    assert!(matches!(unit(&host), Found::Present(_)));
    host.perform(remove("app", false)).expect("it can go");
    assert_eq!(unit(&host), Found::Absent);
    assert!(host.pending().gone_units.contains("app.service"));
}

#[test]
fn what_a_package_brings_is_there_for_later_reads() {
    let mut host = fake::overlay(Fake {
        install: app(),
        ..Fake::default()
    });
    host.perform(install("app")).expect("it can be installed");
    let conf = Path::new("/etc/app/app.conf");
    let stat = host
        .stat(conf)
        .expect("stat")
        .present()
        .expect("it is there");
    assert_eq!(
        (stat.mode, stat.group.as_str(), stat.modified),
        (0o640, "app", 7)
    );
    let content = host.content(conf).expect("content").present();
    assert_eq!(
        content.and_then(|content| content.text).as_deref(),
        Some("a = 1\n")
    );
    let unit = host
        .unit("app.service", &Scope::System)
        .expect("unit")
        .present();
    assert!(unit.is_some_and(|unit| unit.active && unit.enabled() && !unit.needs_reload));
    let names = ["app", "libapp1", "server"].map(str::to_owned);
    let known = host.packages(&names).expect("packages");
    assert_eq!(known["libapp1"].version, "1.2-3");
    assert_eq!(
        known["server"].state,
        PackageState::Provided("app".to_owned())
    );
    assert!(
        host.users()
            .expect("users")
            .iter()
            .any(|user| user.name == "app")
    );
    let groups = host.groups().expect("groups");
    let adm = groups
        .iter()
        .find(|group| group.name == "adm")
        .expect("adm");
    assert_eq!(adm.members, ["app"]);
    assert_eq!(
        host.stat(Path::new("/etc/app/other")).expect("stat"),
        Found::Absent
    );
}

#[test]
fn configuration_that_is_there_already_is_kept() {
    let mut host = fake::overlay(Fake {
        install: app(),
        ..Fake::default()
    });
    host.perform(Effect::MakeDirectory {
        path: PathBuf::from("/etc/app"),
        attributes: Attributes::default(),
    })
    .expect("made");
    host.perform(Effect::WriteFile {
        path: PathBuf::from("/etc/app/app.conf"),
        content: Content::of(b"mine\n"),
        attributes: Attributes::default(),
        backup: None,
        validate: None,
    })
    .expect("written");
    host.perform(install("app")).expect("it can be installed");
    let content = host
        .content(Path::new("/etc/app/app.conf"))
        .expect("content");
    assert_eq!(
        content
            .present()
            .and_then(|content| content.text)
            .as_deref(),
        Some("mine\n")
    );
}

#[test]
fn a_package_that_may_bring_more_leaves_its_paths_unknown() {
    let mut host = fake::overlay(Fake {
        install: Transaction {
            opaque: vec!["app".to_owned()],
            ..app()
        },
        ..Fake::default()
    });
    host.perform(install("app")).expect("it can be installed");
    let found = host.stat(Path::new("/etc/app/other")).expect("stat");
    assert!(matches!(found, Found::Unknown(_)));
}

#[test]
fn a_removal_keeps_configuration_and_a_purge_does_not() {
    let gone = vec![PathBuf::from("/opt"), PathBuf::from("/srv")];
    let mut host = fake::overlay(Fake {
        packages: fake::installed(&[("app", "1.0")]),
        removal: Transaction {
            removed: vec!["app".to_owned()],
            gone,
            ..Transaction::default()
        },
        ..Fake::default()
    });
    host.perform(remove("app", false))
        .expect("it can be removed");
    let names = ["app".to_owned()];
    let left = host.packages(&names).expect("packages");
    assert_eq!(left["app"].state, PackageState::Configuration);
    assert!(host.installed(&names).expect("installed").is_empty());
    assert_eq!(host.stat(Path::new("/srv")).expect("stat"), Found::Absent);
    host.perform(remove("app", true)).expect("it can be purged");
    assert!(host.packages(&names).expect("packages").is_empty());
}

#[test]
fn a_link_that_stands_for_a_directory_outlives_what_is_below_it() {
    let mut host = fake::overlay(Fake::default());
    let link = PathBuf::from("/lib");
    host.perform(Effect::Link {
        path: link.clone(),
        target: PathBuf::from("usr/lib"),
    })
    .expect("made");
    let transaction = Transaction {
        gone: vec![PathBuf::from("/lib/app"), link.clone()],
        ..Transaction::default()
    };
    host.commit(transaction).expect("removed");
    assert!(matches!(host.stat(&link).expect("stat"), Found::Present(_)));
}

#[test]
fn sources_that_are_only_pending_make_the_lists_unknown() {
    let mut host = fake::overlay(Fake::default());
    let path = PathBuf::from("/etc/apt/sources.list.d/new.list");
    host.perform(Effect::WriteFile {
        path,
        content: Content::of(b"deb file:/x ./\n"),
        attributes: Attributes::default(),
        backup: None,
        validate: None,
    })
    .expect("written");
    let names = ["new".to_owned()];
    let offered = host.available(&names, None).expect("available");
    assert_eq!(offered["new"], Found::Absent);
    host.perform(Effect::UpdatePackageLists { lock_timeout: 1 })
        .expect("updated");
    let offered = host.available(&names, None).expect("available");
    assert!(matches!(&offered["new"], Found::Unknown(origin) if origin.contains("new.list")));
    host.perform(install("new")).expect("it is assumed");
    let version = &host.installed(&names).expect("installed")["new"];
    assert!(mark::unknown_origin(version).is_some());
    assert!(!host.take_records().1.is_empty());
}
