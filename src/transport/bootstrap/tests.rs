//! The bootstrap line, run by the shells of this machine through the local
//! transport, with a shell script for an agent.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::transport::local::LocalTransport;
use crate::transport::{Connection, End, connect};

/// An agent that greets, says its arguments, and echoes what it reads.
fn agent() -> AgentBinary {
    let mut script = b"#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n\
        printf '\\nveza-agent ready 1\\n%s|' \"$*\"\nexec cat\n"
        .to_vec();
    // Bigger than a pipe and than the small file system below, and binary.
    script.extend(b"exit\n");
    script.extend((0..300_000_u32).map(|n| n as u8));
    AgentBinary::new(script, None)
}

/// A place for directories; its path is safe to write into a shell line.
fn place() -> TempDir {
    tempfile::Builder::new().prefix("veza").tempdir().unwrap()
}

/// A greeted agent; the transport lives as long, since dropping it would end
/// the agent.
struct Started {
    pipe: Pipe,
    _transport: LocalTransport,
}

impl Started {
    /// What the agent still prints once it has read `frame` and its input ends.
    fn answer(self, frame: &[u8]) -> Vec<u8> {
        let Pipe {
            mut input,
            mut output,
            ending,
        } = self.pipe;
        input.write_all(frame).unwrap();
        drop(input);
        let mut received = Vec::new();
        output.read_to_end(&mut received).unwrap();
        assert_eq!(ending.wait(PATIENCE), Some(End::Exited(0)));
        received
    }
}

fn start(directories: &[&Path]) -> Result<Started, Unreachable> {
    start_with(directories, &[])
}

fn start_with(directories: &[&Path], arguments: &[String]) -> Result<Started, Unreachable> {
    let words: Vec<_> = directories
        .iter()
        .map(|directory| quote(&directory.display().to_string()))
        .collect();
    let mut transport = LocalTransport::default();
    let pipe = start_agent_in(&words.join(" "), &mut transport, &agent(), None, arguments)?;
    Ok(Started {
        pipe,
        _transport: transport,
    })
}

fn started_in(directory: &Path) -> PathBuf {
    directory.join(format!("veza-agent-{}", agent().sha256))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says loudly that a test did not run; where the lab is required it fails.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip(why: &str) {
    assert!(std::env::var_os("VEZA_REQUIRE_ALL").is_none(), "{why}");
    eprintln!("SKIPPED: {why}");
}

/// A tmpfs that is unmounted when it goes out of scope.
struct Mount(PathBuf);

impl Mount {
    fn new(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(at)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().unwrap();
    }
}

#[test]
fn the_line_survives_every_login_shell() {
    let line = script(DIRECTORIES);
    for forbidden in ['\'', '\\', '!', '\n'] {
        assert!(!line.contains(forbidden), "{forbidden:?} in {line}");
    }
}

#[test]
fn the_agent_is_pushed_once_and_echoes_bytes_exactly() {
    let root = place();
    let home = root.path().join("deep/er");
    let sent: Vec<u8> = (0..=255).collect();
    for _ in 0..2 {
        let received = start(&[&home]).unwrap().answer(&sent);
        assert_eq!(received, [b"|".as_slice(), &sent].concat());
    }
    let left: Vec<_> = fs::read_dir(&home).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let file = fs::metadata(started_in(&home)).unwrap();
    assert_eq!(file.permissions().mode() & 0o7777, 0o700);
    assert_eq!(fs::metadata(&home).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn a_warm_start_sends_nothing() {
    let root = place();
    start(&[root.path()]).unwrap();
    let inode = fs::metadata(started_in(root.path())).unwrap().ino();
    start(&[root.path()]).unwrap();
    assert_eq!(fs::metadata(started_in(root.path())).unwrap().ino(), inode);
}

#[test]
fn a_cut_off_agent_is_replaced() {
    let root = place();
    fs::write(started_in(root.path()), "#!/bin/sh\n").unwrap();
    fs::set_permissions(started_in(root.path()), fs::Permissions::from_mode(0o700)).unwrap();
    start(&[root.path()]).unwrap();
    let size = fs::metadata(started_in(root.path())).unwrap().len();
    assert_eq!(size, agent().bytes.len() as u64);
}

#[test]
fn arguments_arrive_as_they_are() {
    let root = place();
    let arguments = ["--as".to_owned(), "it's $HOME `x` \"y\" \\ !".to_owned()];
    let received = start_with(&[root.path()], &arguments).unwrap().answer(b"");
    assert_eq!(received, b"--as it's $HOME `x` \"y\" \\ !|");
}

#[test]
fn directories_that_others_can_write_are_passed_over() {
    let root = place();
    let [open, link, file, good] = ["open", "link", "file", "good"].map(|n| root.path().join(n));
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o770)).unwrap();
    fs::create_dir(root.path().join("target")).unwrap();
    symlink(root.path().join("target"), &link).unwrap();
    fs::write(&file, "").unwrap();
    start(&[&open, &link, &file, &good]).unwrap();
    assert!(started_in(&good).exists());
    assert!(!started_in(&open).exists() && !started_in(&link).exists());
}

#[test]
fn an_agent_that_others_could_have_put_there_is_not_started() {
    let root = place();
    let [open, good] = ["open", "good"].map(|n| root.path().join(n));
    fs::create_dir(&open).unwrap();
    // The right name and size, so only the directory speaks against it.
    let mut evil = b"#!/bin/sh\nprintf '\\nveza-agent ready 1\\nEVIL'\nexit\n".to_vec();
    evil.resize(agent().bytes.len(), b' ');
    fs::write(started_in(&open), evil).unwrap();
    fs::set_permissions(started_in(&open), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(start(&[&open, &good]).unwrap().answer(b""), b"|");
}

#[test]
fn a_directory_of_somebody_else_is_passed_over_even_by_root() {
    if !is_root() {
        return skip("only root can give a directory away");
    }
    let root = place();
    let [foreign, good] = ["foreign", "good"].map(|n| root.path().join(n));
    fs::create_dir(&foreign).unwrap();
    chown(&foreign, Some(1234), None).unwrap();
    start(&[&foreign, &good]).unwrap();
    assert!(started_in(&good).exists() && !started_in(&foreign).exists());
}

#[test]
fn a_full_or_noexec_directory_falls_to_the_next() {
    let root = place();
    let [full, noexec, good] = ["full", "noexec", "good"].map(|n| root.path().join(n));
    let (Some(_full), Some(_noexec)) = (
        Mount::new(&full, "size=64k,mode=0700"),
        Mount::new(&noexec, "noexec,mode=0700"),
    ) else {
        return skip("a tmpfs cannot be mounted here");
    };
    start(&[&full, &noexec, &good]).unwrap();
    assert!(started_in(&good).exists());
    for directory in [&full, &noexec] {
        assert_eq!(fs::read_dir(directory).unwrap().count(), 0, "{directory:?}");
    }
    let error = start(&[&full, &noexec]).map(drop).unwrap_err();
    assert!(
        error.reason.contains("full: the file system is full"),
        "{error}"
    );
    assert!(
        error
            .reason
            .contains("noexec: programs may not be executed there"),
        "{error}"
    );
}

#[test]
fn two_controllers_at_once_do_no_harm() {
    let root = place();
    let directory = root.path().join("new");
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| start(&[&directory]).map(drop)))
            .collect();
        for start in starts {
            start.join().unwrap().unwrap();
        }
    });
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
}

#[test]
fn agents_of_old_are_removed_when_a_new_one_comes() {
    let root = place();
    let [old, young, other] =
        ["veza-agent-old", "veza-agent-young", "other"].map(|n| root.path().join(n));
    for file in [&old, &young, &other] {
        fs::write(file, "").unwrap();
    }
    for file in [&old, &other] {
        Command::new("touch")
            .args(["-d", "60 days ago"])
            .arg(file)
            .status()
            .unwrap();
    }
    start(&[root.path()]).unwrap();
    assert!(!old.exists() && young.exists() && other.exists());
}

#[test]
fn another_machine_is_refused_by_name() {
    let root = place();
    let agent = AgentBinary {
        machine: Some("pdp11"),
        ..agent()
    };
    let words = quote(&root.path().display().to_string());
    let transport = &mut LocalTransport::default();
    let error = start_agent_in(&words, transport, &agent, None, &[])
        .map(drop)
        .unwrap_err();
    assert!(error.reason.contains("an agent for pdp11 only"), "{error}");
}

#[test]
fn busybox_can_do_it_too() {
    if Command::new("busybox").arg("true").status().is_err() {
        return skip("busybox is not installed");
    }
    let root = place();
    let applets = root.path().join("bin");
    fs::create_dir(&applets).unwrap();
    for applet in [
        "cat",
        "chmod",
        "find",
        "head",
        "id",
        "ls",
        "mkdir",
        "mktemp",
        "mv",
        "rm",
        "sha256sum",
        "sh",
        "uname",
    ] {
        symlink("/bin/busybox", applets.join(applet)).unwrap();
    }
    let home = root.path().join("home");
    let line = command_line(&quote(&home.display().to_string()), &agent(), None, &[]).replacen(
        "/bin/sh",
        &applets.join("sh").display().to_string(),
        1,
    );
    let mut transport = Prefixed(
        LocalTransport::default(),
        format!("PATH={} && export PATH && ", applets.display()),
    );
    for _ in 0..2 {
        let mut pipe = transport.open(&line).unwrap();
        meet(&mut pipe, &agent())
            .map_err(|missed| missed.what)
            .unwrap();
    }
}

/// A host whose login says something, or does something, before the command.
struct Prefixed(LocalTransport, String);

impl Transport for Prefixed {
    fn open(&mut self, command: &str) -> Result<Pipe, Unreachable> {
        self.0.open(&format!("{}{command}", self.1))
    }

    fn name(&self) -> &str {
        "prefixed"
    }
}

fn start_after(prefix: &str) -> Result<Vec<u8>, Unreachable> {
    let root = place();
    let words = quote(&root.path().display().to_string());
    let mut transport = Prefixed(LocalTransport::default(), prefix.to_owned());
    let pipe = start_agent_in(&words, &mut transport, &agent(), None, &[])?;
    let _transport = transport.0;
    Ok(Started { pipe, _transport }.answer(b"frame"))
}

#[test]
fn a_banner_is_skipped_even_one_that_begins_like_the_greeting() {
    for banner in [
        "echo Welcome; ",
        r"printf 'Welcome\n\nveza-agent rea'; ",
        r"printf '\nveza-agent ready 1 veza-agent\n\n\nveza-agent ready 2\n'; ",
        "head -c 60000 /dev/zero; ",
    ] {
        let received = start_after(banner).unwrap_or_else(|error| panic!("{banner}: {error}"));
        assert_eq!(received, b"|frame", "{banner}");
    }
}

#[test]
fn too_much_junk_is_given_up_and_quoted() {
    let error = start_after("yes no shell for you; ").map(drop).unwrap_err();
    assert!(
        error.reason.contains("more than 65536 bytes came"),
        "{error}"
    );
    assert!(
        error.reason.contains("`no shell for you no shell"),
        "{error}"
    );
    assert!(error.reason.len() < 600, "{error}");
}

#[test]
fn an_account_without_a_shell_is_reported_with_its_words() {
    let error = start_after("/usr/sbin/nologin; exit 1; ")
        .map(drop)
        .unwrap_err();
    assert!(
        error
            .reason
            .contains("`This account is currently not available.`"),
        "{error}"
    );
    assert!(error.reason.contains("exited with code 1"), "{error}");
    assert!(error.hint.unwrap().contains("login shell"));
}

#[test]
fn standard_error_explains_too() {
    let error = start_after("echo out of order >&2; exit 3; ")
        .map(drop)
        .unwrap_err();
    assert!(error.reason.contains("`out of order`"), "{error}");
}

/// Logs in as a user that may do nothing.
struct AsNobody(LocalTransport);

impl Transport for AsNobody {
    fn open(&mut self, command: &str) -> Result<Pipe, Unreachable> {
        let as_nobody = "exec setpriv --reuid=65534 --regid=65534 --clear-groups -- /bin/sh -c";
        self.0.open(&format!("{as_nobody} {}", quote(command)))
    }

    fn name(&self) -> &str {
        "nobody@localhost"
    }
}

#[test]
fn sudo_without_a_rule_is_reported_as_such() {
    if !is_root() || Command::new("sudo").arg("-V").output().is_err() {
        return skip("becoming another user takes root and sudo");
    }
    let transport = &mut AsNobody(LocalTransport::default());
    let root = Become {
        user: "root".into(),
    };
    let error = start_agent(transport, &agent(), Some(&root), &[])
        .map(drop)
        .unwrap_err();
    assert!(
        error
            .reason
            .starts_with("nobody@localhost: cannot become root: sudo asks"),
        "{error}"
    );
}

#[test]
fn a_user_without_a_home_falls_to_a_temporary_directory() {
    if !is_root() {
        return skip("logging in as another user takes root");
    }
    let transport = &mut AsNobody(LocalTransport::default());
    let pipe = start_agent(transport, &agent(), None, &[]).unwrap();
    let file = started_in(Path::new("/var/tmp/veza-play-65534"));
    assert_eq!(fs::metadata(&file).unwrap().uid(), 65534);
    drop(pipe);
    fs::remove_file(file).unwrap();
}

#[test]
fn sudo_that_asks_for_a_password_is_named() {
    let error = sudo_complaint("sudo: a password is required\n", "root", "web").unwrap();
    assert_eq!(
        error.reason,
        "web: cannot become root: sudo asks for a password"
    );
    assert!(error.hint.unwrap().contains("NOPASSWD"));
}

#[test]
fn another_user_runs_an_agent_of_its_own() {
    if !is_root() || Command::new("sudo").arg("-V").output().is_err() {
        return skip("becoming another user takes root and sudo");
    }
    // Searchable by the other user, writable by nobody but root.
    let root = place();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let own = root.path().join("own");
    fs::create_dir(&own).unwrap();
    chown(&own, Some(65534), None).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
    let words = quote(&own.display().to_string());
    let become_user = Become {
        user: "nobody".into(),
    };
    let transport = &mut LocalTransport::default();
    start_agent_in(&words, transport, &agent(), Some(&become_user), &[]).unwrap();
    assert_eq!(fs::metadata(started_in(&own)).unwrap().uid(), 65534);
    let nobody = Become {
        user: "no-such-user".into(),
    };
    let error = start_agent_in(&words, transport, &agent(), Some(&nobody), &[])
        .map(drop)
        .unwrap_err();
    assert!(error.reason.contains("there is no such user"), "{error}");
}

#[test]
fn dropping_the_transport_ends_a_command_that_hangs() {
    let mut transport = connect(&Connection::Local).unwrap();
    let pipe = transport.open("exec sleep 600").unwrap();
    let began = Instant::now();
    drop(transport);
    assert!(matches!(
        pipe.ending.wait(PATIENCE),
        Some(End::Signalled(_))
    ));
    assert!(began.elapsed() < Duration::from_secs(5));
}
