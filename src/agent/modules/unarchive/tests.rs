use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::modules::testing::RealHost;
use crate::outcome::Verdict;

/// A tar archive of files, links (`-> target`), hard links (`= target`) and
/// directories (no content).
fn archive(members: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, content) in members {
        let mut header = Header::new_gnu();
        header.set_mode(match path {
            path if path.ends_with("run") => 0o755,
            path if path.ends_with('/') => 0o750,
            _ => 0o640,
        });
        let (kind, link, bytes) = match content.split_at_checked(3) {
            Some(("-> ", target)) => (EntryType::Symlink, Some(target), ""),
            Some(("=  ", target)) => (EntryType::Link, Some(target), ""),
            _ if path.ends_with('/') => (EntryType::Directory, None, ""),
            _ => (EntryType::Regular, None, *content),
        };
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        // The crate itself refuses what a hostile archive has.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        if let Some(link) = link {
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        }
        header.set_cksum();
        builder.append(&header, bytes.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A host with an archive and a directory to unpack it to, and the call.
fn scene(bytes: &[u8], more: Value) -> (RealHost, Value) {
    let host = RealHost::new();
    fs::write(host.at("app.tar"), bytes).unwrap();
    fs::create_dir(host.at("to")).unwrap();
    let mut call = json!({ "src": host.at("app.tar"), "dest": host.at("to"), "remote_src": true });
    call.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    (host, call)
}

fn names(host: &RealHost) -> Vec<String> {
    let mut names = Vec::new();
    let mut left = vec![host.directory.path().join("to")];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(host.directory.path().join("to")).unwrap();
            names.push(below.display().to_string());
            if path.is_dir() && !path.is_symlink() {
                left.push(path);
            }
        }
    }
    names.sort();
    names
}

#[test]
fn an_archive_is_unpacked_once_and_compared_file_by_file() {
    let large = "x".repeat(600 * 1024);
    let bytes = archive(&[
        ("./app/", ""),
        ("./app/run", "#!/bin/sh\n"),
        ("./app/large", &large),
        ("./app/link", "-> run"),
        ("./app/twin", "=  app/large"),
        ("deep/er/file", "x\n"),
    ]);
    let (host, call) = scene(&gzip(&bytes), json!({}));
    host.changes_once("unarchive", call.clone());
    let expected = [
        "app",
        "app/large",
        "app/link",
        "app/run",
        "app/twin",
        "deep",
        "deep/er",
        "deep/er/file",
    ];
    assert_eq!(names(&host), expected);
    assert_eq!(fs::read_to_string(host.at("to/app/twin")).unwrap(), large);
    let mode = |name: &str| fs::metadata(host.at(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("to/app/run"), mode("to/app/large")), (0o755, 0o640));
    assert_eq!((mode("to/app"), mode("to/deep")), (0o750, 0o755));
    fs::write(host.at("to/app/run"), "spoilt").unwrap();
    fs::remove_file(host.at("to/app/link")).unwrap();
    fs::write(host.at("to/app/own"), "mine").unwrap();
    let outcome = host.changes_once("unarchive", call);
    assert_eq!(outcome.effects.len(), 2, "{:?}", outcome.effects);
    assert_eq!(fs::read(host.at("to/app/own")).unwrap(), b"mine");
}

#[test]
fn only_what_is_asked_for_is_unpacked() {
    let bytes = archive(&[
        ("app-1/bin/run", "x"),
        ("app-1/doc/a.txt", "x"),
        ("app-1/doc/b.html", "x"),
    ]);
    for (more, expected) in [
        (
            json!({ "include": "app-1/bin" }),
            vec!["app-1", "app-1/bin", "app-1/bin/run"],
        ),
        (
            json!({ "exclude": ["app-1/bin", "*.html"], "strip_components": 1 }),
            vec!["doc", "doc/a.txt"],
        ),
    ] {
        let (host, call) = scene(&bytes, more);
        host.changes_once("unarchive", call);
        assert_eq!(names(&host), expected);
    }
    let (host, call) = scene(&bytes, json!({ "strip_components": 5 }));
    let failure = host.call("unarchive", &call).failure.unwrap();
    assert!(failure.message.contains("nothing of"), "{failure}");
}

#[test]
fn directories_are_as_the_archive_says() {
    let bytes = archive(&[
        ("app/", ""),
        ("app/data/", ""),
        ("app/data/x", "x"),
        ("etc/x", "x"),
    ]);
    let (host, call) = scene(&bytes, json!({}));
    fs::create_dir_all(host.at("to/app/data")).unwrap();
    fs::create_dir(host.at("to/etc")).unwrap();
    let set =
        |name: &str, mode| fs::set_permissions(host.at(name), PermissionsExt::from_mode(mode));
    set("to/app/data", 0o777).unwrap();
    set("to/etc", 0o711).unwrap();
    let outcome = host.changes_once("unarchive", call);
    assert!(
        outcome
            .changes
            .iter()
            .any(|change| change.attribute == "app/data mode")
    );
    let mode = |name: &str| fs::metadata(host.at(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("to/app/data"), 0o750);
    // It is only on the way.
    assert_eq!(mode("to/etc"), 0o711);
}

#[test]
fn a_link_is_judged_by_where_it_ends_up() {
    let outside = "outside of the directory";
    let up = ("a/b/l", "-> ../../x");
    for (members, more, part) in [
        (&[up, ("l2", "=  a/b/l")][..], json!({}), outside),
        (&[up], json!({ "strip_components": 1 }), outside),
        (
            &[("a/l", "-> b"), ("b/l/evil", "x")],
            json!({ "strip_components": 1 }),
            "through a link",
        ),
        (&[("a", "x"), ("a/b", "x")], json!({}), "below a file"),
        (
            &[("a/x", "1"), ("b/x", "2")],
            json!({ "strip_components": 1 }),
            "a/x and b/x",
        ),
    ] {
        let (host, mut call) = scene(&archive(members), more);
        let failure = host
            .predicted("unarchive", &call)
            .failure
            .expect("a failure");
        assert!(failure.message.contains(part), "{failure}");
        let outcome = host.call("unarchive", &call);
        assert_eq!(outcome.verdict, Verdict::Failed);
        assert_eq!(names(&host), [""; 0]);
        // What is not asked for leads nowhere.
        call["exclude"] = json!(["a", "l2"]);
        call["src"] = json!(host.at("more.tar"));
        let more = [members, &[("good/good", "x")]].concat();
        fs::write(host.at("more.tar"), archive(&more)).unwrap();
        host.changes_once("unarchive", call);
    }
}

#[test]
fn no_link_is_made_behind_another() {
    let bytes = archive(&[("a/b/up", "-> ../..")]);
    let (host, mut call) = scene(&bytes, json!({}));
    host.changes_once("unarchive", call.clone());
    let bytes = archive(&[("a/b/up/l", "-> ../../../x")]);
    fs::write(host.at("second.tar"), bytes).unwrap();
    call["src"] = json!(host.at("second.tar"));
    let failure = host.call("unarchive", &call).failure.expect("a failure");
    assert!(failure.message.contains("behind another"), "{failure}");
    assert_eq!(names(&host), ["a", "a/b", "a/b/up"]);
}

#[test]
fn a_text_that_speaks_of_secrets_stays_as_it_is() {
    let text = crate::mark::secret("db");
    let (host, call) = scene(&archive(&[("a", &text)]), json!({}));
    host.changes_once("unarchive", call);
    assert_eq!(fs::read_to_string(host.at("to/a")).unwrap(), text);
}

/// A zip archive; the paths and contents are those of [`archive`].
fn zipped(members: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (path, content) in members {
        let mode = match path {
            path if path.ends_with("run") => 0o4755,
            path if path.ends_with('/') => 0o750,
            _ => 0o640,
        };
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(mode);
        match content.strip_prefix("-> ") {
            Some(target) => writer.add_symlink(*path, target, options).unwrap(),
            None if path.ends_with('/') => writer.add_directory(*path, options).unwrap(),
            None => {
                writer.start_file(*path, options).unwrap();
                writer.write_all(content.as_bytes()).unwrap();
            }
        }
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_zip_archive_is_unpacked_like_any_other() {
    let large = "x".repeat(600 * 1024);
    let bytes = zipped(&[
        ("app/", ""),
        ("app/run", "#!/bin/sh\n"),
        ("app/large", &large),
        ("app/link", "-> run"),
        ("deep/file", "x\n"),
    ]);
    let (host, call) = scene(&bytes, json!({}));
    host.changes_once("unarchive", call);
    let expected = [
        "app",
        "app/large",
        "app/link",
        "app/run",
        "deep",
        "deep/file",
    ];
    assert_eq!(names(&host), expected);
    assert_eq!(fs::read_to_string(host.at("to/app/large")).unwrap(), large);
    assert_eq!(
        fs::read_link(host.at("to/app/link")).unwrap(),
        Path::new("run")
    );
    let mode = |name: &str| fs::metadata(host.at(name)).unwrap().permissions().mode() & 0o7777;
    let modes = ["to/app", "to/app/run", "to/app/large", "to/deep"].map(mode);
    assert_eq!(modes, [0o750, 0o755, 0o640, 0o755]);
}

#[test]
fn nothing_leads_out_of_a_zip_archive() {
    for members in [
        &[("good", "x"), ("../evil", "x")][..],
        &[("/etc/evil", "x")],
        &[("link", "-> /etc")],
        &[("a/link", "-> ../../x")],
        &[("a/link", "-> ../b"), ("a/link/evil", "x")],
    ] {
        let (host, call) = scene(&zipped(members), json!({}));
        assert_eq!(host.call("unarchive", &call).verdict, Verdict::Failed);
        assert_eq!(names(&host), [""; 0]);
    }
}

#[test]
fn nothing_leads_out_of_the_directory() {
    for (members, part) in [
        (
            &[("good", "x"), ("../evil", "x")][..],
            "outside of the directory",
        ),
        (
            &[("good", "x"), ("a/../../evil", "x")],
            "outside of the directory",
        ),
        (
            &[("good", "x"), ("/etc/evil", "x")],
            "outside of the directory",
        ),
        (&[("link", "-> /etc")], "outside of the directory"),
        (&[("a/link", "-> ../../x")], "outside of the directory"),
        (
            &[("a/b/x", "-> ../.."), ("y", "-> a/b/x/..")],
            "outside of the directory",
        ),
        (
            &[("a/link", "-> ../b"), ("a/link/evil", "x")],
            "through a link",
        ),
        (&[("hard", "=  /etc/passwd")], "not in it"),
    ] {
        let (host, call) = scene(&archive(members), json!({}));
        for outcome in [
            host.predicted("unarchive", &call),
            host.call("unarchive", &call),
        ] {
            let failure = outcome.failure.expect("a failure");
            assert!(failure.message.contains(part), "{failure}");
        }
        assert_eq!(names(&host), [""; 0]);
    }
}

#[test]
fn a_link_that_stays_inside_is_fine() {
    let (host, call) = scene(
        &archive(&[("a/run", "x"), ("b/link", "-> ../a/run")]),
        json!({}),
    );
    host.changes_once("unarchive", call);
    assert_eq!(fs::read(host.at("to/b/link")).unwrap(), b"x");
}

#[test]
fn a_broken_archive_leaves_nothing() {
    let whole = gzip(&archive(&[("a", "x"), ("b", &"y".repeat(2000))]));
    let (host, call) = scene(&whole[..whole.len() - 12], json!({}));
    let failure = host.call("unarchive", &call).failure.unwrap();
    assert!(
        failure.message.contains("cannot read the archive"),
        "{failure}"
    );
    assert_eq!(names(&host), [""; 0]);
    let (host, call) = scene(b"PK\x03\x04 and so on", json!({}));
    let failure = host.call("unarchive", &call).failure.unwrap();
    assert!(
        failure.message.contains("cannot read the archive"),
        "{failure}"
    );
    let (host, call) = scene(b"nothing of the kind", json!({}));
    assert_eq!(host.call("unarchive", &call).verdict, Verdict::Failed);
}

#[test]
fn what_is_created_already_is_not_looked_at() {
    let (host, call) = scene(b"nonsense", json!({ "creates": "app" }));
    fs::create_dir(host.at("to/app")).unwrap();
    host.unchanged("unarchive", call);
}

#[test]
fn other_compressions_take_a_program_of_the_host() {
    let host = RealHost::new();
    fs::create_dir(host.at("to")).unwrap();
    fs::write(host.at("app.tar"), archive(&[("a", "x")])).unwrap();
    let mut compress = std::process::Command::new("xz");
    let done = compress
        .arg(host.at("app.tar"))
        .status()
        .expect("xz is there");
    assert!(done.success());
    let call = json!({ "src": host.at("app.tar.xz"), "dest": host.at("to"), "remote_src": true });
    host.changes_once("unarchive", call);
    assert_eq!(names(&host), ["a"]);
}

#[test]
fn an_archive_that_is_sent_is_unpacked_too() {
    let bytes = archive(&[("a", "x")]);
    let text = crate::content::Content::of(&bytes);
    assert!(
        text.text.is_some(),
        "it is small enough to come with the call"
    );
    let host = RealHost::new();
    fs::create_dir(host.at("to")).unwrap();
    let sources = json!([{ "path": "", "mode": 420, "content": text }]);
    let call = json!({ "src": "app.tar", "dest": host.at("to"), "sources": sources });
    host.changes_once("unarchive", call);
    assert_eq!(names(&host), ["a"]);
}

#[test]
fn more_text_than_is_kept_is_compared_with_secrets_in_it() {
    use crate::secrets::{Secret, Shared};
    let filler = "x".repeat(250 * 1024);
    let names: Vec<String> = (0..20).map(|number| format!("f{number:02}")).collect();
    let text = format!("hunter22{filler}");
    let members: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), &*text)).collect();
    let (host, call) = scene(&archive(&members), json!({}));
    let secrets = Shared::default();
    secrets
        .add([("key".to_owned(), Secret::new("hunter22"))])
        .unwrap();
    for verdict in [Verdict::Changed, Verdict::Ok] {
        let mut live = host.live().with_secrets(secrets.clone());
        let module = crate::modules::find("unarchive").unwrap();
        let outcome = (module.call)(call.clone(), &mut live);
        assert_eq!(outcome.verdict, verdict, "{:?}", outcome.failure);
    }
}

/// As where /lib leads to /usr/lib: what is below is one directory.
#[test]
fn two_ways_to_one_directory_make_it_once() {
    let bytes = archive(&[
        ("lib/app/", ""),
        ("lib/app/a", "a"),
        ("usr/lib/app/", ""),
        ("usr/lib/app/b", "b"),
        ("usr/lib/app/a", "a"),
    ]);
    let (host, call) = scene(&bytes, json!({}));
    fs::create_dir_all(host.at("to/usr/lib")).unwrap();
    std::os::unix::fs::symlink("usr/lib", host.at("to/lib")).unwrap();
    let outcome = host.changes_once("unarchive", call);
    assert_eq!(outcome.effects.len(), 3, "{:?}", outcome.effects);
    assert_eq!(fs::read(host.at("to/usr/lib/app/b")).unwrap(), b"b");
    assert!(Path::new(&host.at("to/lib")).is_symlink());
}
