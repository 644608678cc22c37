//! A real sshd of its own: a free port on the loopback, its own host key,
//! configuration and authorized keys. It ends with the value.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::transport::Ssh;

const PROGRAM: &str = "/usr/sbin/sshd";

/// A running server and the files around it.
pub struct Sshd {
    directory: TempDir,
    server: Child,
    port: u16,
}

impl Sshd {
    /// Starts a server, or says loudly why a test cannot run.
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    pub fn start() -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            assert!(
                std::env::var_os("VEZA_REQUIRE_ALL").is_none(),
                "{PROGRAM} is not installed"
            );
            eprintln!("SKIPPED: {PROGRAM} is not installed; install openssh-server");
            return None;
        }
        let directory = tempfile::Builder::new().prefix("sshd").tempdir().unwrap();
        for (name, kind) in [
            ("host_ed25519", "ed25519"),
            ("host_rsa", "rsa"),
            ("key", "ed25519"),
        ] {
            generate(&directory.path().join(name), kind, "");
        }
        fs::copy(
            directory.path().join("key.pub"),
            directory.path().join("authorized"),
        )
        .unwrap();
        // Root's sshd wants a directory that only its service file makes.
        let _ = fs::create_dir_all("/run/sshd");
        let port = free_port();
        let server = serve(directory.path(), port);
        wait_for(port);
        let this = Self {
            directory,
            server,
            port,
        };
        this.trust("host_ed25519");
        Some(this)
    }

    /// How to log in, knowing the server's key.
    pub fn connection(&self) -> Ssh {
        Ssh {
            address: "127.0.0.1".into(),
            port: self.port,
            user: Some(user()),
            identity_files: vec![self.file("key")],
            known_hosts: Some(self.file("known_hosts")),
            host_keys: Vec::new(),
            timeout: Duration::from_secs(10),
        }
    }

    /// A file beside the server's configuration.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a key that the server does not accept.
    pub fn strange_key(&self, passphrase: &str) -> PathBuf {
        let path = self.file("strange");
        generate(&path, "ed25519", passphrase);
        path
    }

    /// Makes this key the only one that is known of the server.
    pub fn trust(&self, key: &str) {
        let public = fs::read_to_string(self.file(&format!("{key}.pub"))).unwrap();
        self.write_known_hosts(&format!("[127.0.0.1]:{} {public}", self.port));
    }

    /// Replaces what is known.
    pub fn write_known_hosts(&self, text: &str) {
        fs::write(self.file("known_hosts"), text).unwrap();
    }

    /// The time that the thread of a connection to this server has used so
    /// far, in ticks of 10 ms. The port in its name tells it from those of
    /// other tests.
    pub fn ticks_of_its_thread(&self) -> u64 {
        let named = format!("ssh:{}\n", self.port);
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let mut tasks = tasks.map(|task| task.unwrap().path());
        let thread =
            tasks.find(|task| fs::read_to_string(task.join("comm")).is_ok_and(|n| n == named));
        let stat = fs::read_to_string(thread.unwrap().join("stat")).unwrap();
        let (_, numbers) = stat.rsplit_once(')').unwrap();
        let numbers: Vec<_> = numbers.split_whitespace().collect();
        numbers[11].parse::<u64>().unwrap() + numbers[12].parse::<u64>().unwrap()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// An ssh-agent of the tests' own.
pub struct KeyAgent {
    /// Where it listens.
    pub socket: PathBuf,
    program: Child,
}

impl KeyAgent {
    /// Starts an agent without keys beside a server's files.
    pub fn start(sshd: &Sshd) -> Option<Self> {
        let socket = sshd.file("agent.sock");
        let program = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let end = Instant::now() + Duration::from_secs(5);
        while !socket.exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Self { socket, program })
    }

    /// Gives it a key.
    pub fn add(&self, key: &Path) {
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.socket)
            .status()
            .unwrap();
        assert!(added.success());
    }
}

impl Drop for KeyAgent {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Who runs the tests.
pub fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn generate(path: &Path, kind: &str, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase])
        // The least that ssh accepts; quicker to find than the default.
        .args(["-b", "2048", "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn serve(directory: &Path, port: u16) -> Child {
    let at = directory.display();
    let configuration = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host_ed25519\nHostKey {at}/host_rsa\n\
         AuthorizedKeysFile {at}/authorized\nStrictModes no\nUsePAM no\nPidFile none\n\
         PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
    );
    fs::write(directory.join("config"), configuration).unwrap();
    Command::new(PROGRAM)
        .args(["-D", "-e", "-f"])
        .arg(directory.join("config"))
        .stdin(Stdio::null())
        .stderr(fs::File::create(directory.join("log")).unwrap())
        .spawn()
        .unwrap()
}

fn wait_for(port: u16) {
    let end = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "sshd did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}
