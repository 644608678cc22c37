use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::modules::testing::RealHost;
use crate::outcome::Verdict;

/// A tar archive of files, links (`-> target`), hard links (`= target`) and
/// directories (no content).
fn archive(members: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, content) in members {
        let mut header = Header::new_gnu();
        header.set_mode(if path.ends_with("run") { 0o755 } else { 0o640 });
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
    assert!(failure.message.contains("is a zip archive"), "{failure}");
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
