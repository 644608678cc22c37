//! apt-get and its kin: how they are called, how long they are waited for,
//! and what their errors mean.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::super::files::{PrivateCopy, failed};
use super::super::processes::{self, OutputSink};
use super::locks;
use super::simulate::Install;
use crate::effect::{Command, InstallOptions, PackageRequest, RemoveOptions};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::Output;

/// Nobody answers questions, nothing restarts services behind our back, and
/// messages are in the language they are read in here.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBIAN_PRIORITY", "critical"),
    ("APT_LISTCHANGES_FRONTEND", "none"),
    ("APT_LISTBUGS_FRONTEND", "none"),
    ("NEEDRESTART_SUSPEND", "1"),
    ("LC_ALL", "C.UTF-8"),
];

/// Configuration that an administrator changed stays as it is.
const OPTIONS: [&str; 10] = [
    "--quiet",
    "--assume-yes",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
    "-o",
    "Dpkg::Use-Pty=0",
    "-o",
    "APT::Color=0",
];

/// How often fetching the package lists is tried; apt itself tries each file
/// several times.
const ATTEMPTS: u32 = 2;

/// The words after `apt-get` that install packages.
pub fn install_words(packages: &[PackageRequest], options: &InstallOptions) -> Vec<String> {
    let mut words = vec!["install".to_owned()];
    let mut option = |wanted: bool, word: &str| {
        if wanted {
            words.push(word.to_owned());
        }
    };
    option(options.recommends == Some(true), "--install-recommends");
    option(options.recommends == Some(false), "--no-install-recommends");
    option(options.allow_downgrade, "--allow-downgrades");
    option(options.allow_held, "--allow-change-held-packages");
    if let Some(release) = &options.default_release {
        words.push(format!("--target-release={release}"));
    }
    words.push("--".to_owned());
    words.extend(packages.iter().map(|package| match &package.version {
        Some(version) => format!("{}={version}", package.name),
        None => package.name.clone(),
    }));
    words
}

/// The words after `apt-get` that remove packages.
pub fn remove_words(names: &[String], options: &RemoveOptions) -> Vec<String> {
    let verb = match (names.is_empty(), options.purge) {
        (true, _) => "autoremove",
        (false, true) => "purge",
        (false, false) => "remove",
    };
    let mut words = vec![verb.to_owned()];
    let mut option = |wanted: bool, word: &str| {
        if wanted {
            words.push(word.to_owned());
        }
    };
    option(options.purge, "--purge");
    option(options.autoremove, "--auto-remove");
    option(options.allow_held, "--allow-change-held-packages");
    words.push("--".to_owned());
    words.extend(names.iter().cloned());
    words
}

/// What apt-get says it would do, with another status of dpkg than the host's
/// if that is given. It takes no lock, so anybody may ask.
pub fn simulate(words: &[String], status: Option<&str>) -> Result<String> {
    let other = status.map(|text| {
        let path = Path::new("status");
        PrivateCopy::filled(path, |file| {
            file.write_all(text.as_bytes())
                .map_err(failed("write", path))
        })
    });
    let other = other.transpose()?;
    let mut options = vec!["--simulate".to_owned()];
    if let Some(status) = &other {
        // What apt keeps on disk is about the host as it is.
        for option in [
            format!("Dir::State::status={}", status.path().display()),
            "Dir::Cache::pkgcache=".to_owned(),
            "Dir::Cache::srcpkgcache=".to_owned(),
        ] {
            options.extend(["-o".to_owned(), option]);
        }
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let command = call("apt-get", &options, words);
    let output = processes::output(&command)?;
    match output.code {
        0 => Ok(output.stdout),
        _ => Err(explain(words, &output)),
    }
}

/// What `apt-cache policy` says of these packages.
pub fn policy(names: &[String], release: Option<&str>) -> Result<String> {
    let mut words = vec!["policy".to_owned()];
    words.extend(release.map(|release| format!("--target-release={release}")));
    words.push("--".to_owned());
    words.extend(names.iter().cloned());
    let output = processes::output(&call("apt-cache", &[], &words))?;
    match output.code {
        0 => Ok(output.stdout),
        _ => Err(explain(&words, &output)),
    }
}

/// The names and sizes of the `.deb`s of these packages.
pub fn downloads(packages: &[Install]) -> Result<Vec<(String, u64)>> {
    let packages: Vec<&Install> = packages.iter().collect();
    let words = download_words(&packages);
    let output = processes::output(&call("apt-get", &["-qq", "--print-uris"], &words))?;
    if output.code != 0 {
        return Err(explain(&words, &output));
    }
    // `'ADDRESS' NAME SIZE DIGEST`
    let file = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let name = words.next()?.to_owned();
        Some((name, words.next()?.parse().ok()?))
    };
    Ok(output.stdout.lines().filter_map(file).collect())
}

/// Fetches the `.deb`s of these packages into a directory. The directory is
/// closed to the user as whom apt fetches otherwise.
pub fn download(packages: &[&Install], directory: &Path) -> Result<()> {
    let words = download_words(packages);
    let mut command = call("apt-get", &["-o", "APT::Sandbox::User=root"], &words);
    command.directory = Some(directory.to_owned());
    let output = processes::output(&command)?;
    match output.code {
        0 => Ok(()),
        _ => Err(explain(&words, &output)),
    }
}

fn download_words(packages: &[&Install]) -> Vec<String> {
    let name = |package: &&Install| format!("{}={}", package.name, package.version);
    let words = ["download".to_owned(), "--".to_owned()];
    words.into_iter().chain(packages.iter().map(name)).collect()
}

/// Changes the host's packages.
pub fn change(words: &[String], lock_timeout: u32, sink: &OutputSink) -> Result<()> {
    let output = wait_for_locks(lock_timeout, || {
        let timeout = format!("DPkg::Lock::Timeout={lock_timeout}");
        processes::run(&call("apt-get", &["-o", &timeout], words), sink)
    })?;
    match output.code {
        0 => Ok(()),
        _ => Err(explain(words, &output)),
    }
}

/// Fetches the package lists anew. A mirror that is being changed just now
/// gets a few more tries.
pub fn update(lock_timeout: u32, sink: &OutputSink) -> Result<()> {
    let words = ["update".to_owned()];
    for attempt in 1.. {
        let output = wait_for_locks(lock_timeout, || {
            // Without the option apt only warns of a source that fails.
            let strict = ["-o", "APT::Update::Error-Mode=any"];
            processes::run(&call("apt-get", &strict, &words), sink)
        })?;
        if output.code == 0 {
            return Ok(());
        }
        if attempt == ATTEMPTS || is_locked(&output) {
            return Err(explain(&words, &output));
        }
        thread::sleep(Duration::from_secs(1 << attempt));
    }
    Ok(())
}

fn call(program: &str, options: &[&str], words: &[String]) -> Command {
    let fixed: &[&str] = match program {
        "apt-get" => &OPTIONS,
        _ => &[],
    };
    let given = fixed.iter().chain(options).map(|word| (*word).to_owned());
    let argv = [program.to_owned()].into_iter().chain(given);
    let mut command = Command::new(argv.chain(words.iter().cloned()));
    let variable = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    command.environment.extend(ENVIRONMENT.map(variable));
    command
}

/// apt-get waits for the locks of dpkg by itself, but not for those of its own
/// lists and archives.
fn wait_for_locks(timeout: u32, run: impl Fn() -> Result<Output>) -> Result<Output> {
    let deadline = Instant::now() + Duration::from_secs(timeout.into());
    let mut pause = Duration::from_millis(250);
    loop {
        let output = run()?;
        if output.code == 0 || !is_locked(&output) || Instant::now() + pause > deadline {
            return Ok(output);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

fn is_locked(output: &Output) -> bool {
    ["Could not get lock", "Unable to lock", "Unable to acquire"]
        .iter()
        .any(|words| output.stderr.contains(words))
}

/// apt's errors begin with `E:`; what it prints before them says why.
fn explain(words: &[String], output: &Output) -> Failure {
    let errors: Vec<&str> = output
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("E: "))
        .collect();
    let verb = words.first().map_or("", String::as_str);
    let failure = match is_locked(output) {
        true => locked(output),
        false if errors.is_empty() => {
            return processes::ended_badly(&format!("apt-get {verb}"), output.code, output);
        }
        false => Failure::new(format!("apt-get {verb}: {}", reason(&errors, output))),
    };
    let failure = failure
        .value("rc", output.code)
        .value("stdout", output.stdout.as_str())
        .value("stderr", output.stderr.as_str());
    match hint(&output.stderr).or_else(|| providers(&output.stdout)) {
        Some(hint) if failure.hint.is_none() => failure.hint(hint),
        _ => failure,
    }
}

/// What apt offers instead of a virtual package that several others provide.
fn providers(stdout: &str) -> Option<String> {
    let mut lines = stdout
        .lines()
        .skip_while(|line| !line.contains("is a virtual package provided by"));
    lines.next()?;
    let names: Vec<&str> = lines
        .map_while(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let names = names.join(", ");
    Some(format!(
        "Several packages provide it; name one of them: {names}."
    ))
}

fn reason(errors: &[&str], output: &Output) -> String {
    let unmet = output
        .stdout
        .lines()
        .skip_while(|line| !line.contains("unmet dependencies"))
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .map(str::trim);
    errors
        .iter()
        .copied()
        .chain(unmet)
        .collect::<Vec<_>>()
        .join("; ")
}

fn locked(output: &Output) -> Failure {
    // apt names the process itself where it could see it.
    let said = output.stderr.lines().find_map(|line| {
        let (_, holder) = line.split_once("held by ")?;
        Some(holder.trim_end_matches('.').to_owned())
    });
    let holder = locks::holder().or(said);
    Failure::new(match holder {
        Some(holder) => format!("another package manager holds the lock: {holder}"),
        None => "another package manager holds the lock".to_owned(),
    })
    .hint("Give `lock_timeout` to wait longer for it.")
}

fn hint(stderr: &str) -> Option<String> {
    let hints = [
        (
            "Permission denied",
            "Packages change as root only; add `become: true` to the play or the task.",
        ),
        (
            "are you root?",
            "Packages change as root only; add `become: true` to the play or the task.",
        ),
        (
            "Held packages were changed",
            "Give `allow_change_held_packages: true` to change them all the same.",
        ),
        (
            "Packages were downgraded",
            "Give `allow_downgrade: true` to allow it.",
        ),
        (
            "dpkg was interrupted",
            "Run `dpkg --configure -a` on the host first.",
        ),
        (
            "Unable to locate package",
            "Give `update_cache: true` to fetch the package lists first.",
        ),
        (
            "404  Not Found",
            "The package lists are older than the archive; give `update_cache: true`.",
        ),
    ];
    let matches = |(text, hint): (&str, &str)| stderr.contains(text).then(|| hint.to_owned());
    hints.into_iter().find_map(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(stdout: &str, stderr: &str) -> Output {
        Output {
            code: 100,
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            timed_out: false,
        }
    }

    #[test]
    fn the_error_lines_are_the_message() {
        let output = failed(
            "The following packages have unmet dependencies:\n a : Depends: b but it is not installable\n",
            "W: noise\nE: Unable to correct problems, you have held broken packages.\n",
        );
        assert_eq!(
            explain(&["install".to_owned()], &output).message,
            "apt-get install: Unable to correct problems, you have held broken packages.; \
             a : Depends: b but it is not installable"
        );
    }

    #[test]
    fn who_holds_the_lock_is_said() {
        let stderr = "E: Could not get lock /var/lib/dpkg/lock-frontend. \
                      It is held by process 4242 (unattended-upgr)\n";
        let failure = explain(&["install".to_owned()], &failed("", stderr));
        assert!(failure.message.contains("holds the lock"), "{failure}");
        assert!(
            failure
                .hint
                .is_some_and(|hint| hint.contains("lock_timeout"))
        );
    }

    #[test]
    fn a_virtual_package_is_refused_with_those_that_provide_it() {
        let stdout =
            "Package mta is a virtual package provided by:\n  ssmtp 2.64\n  postfix 3.7\n\n";
        let stderr = "E: Package 'mta' has no installation candidate\n";
        let failure = explain(&["install".to_owned()], &failed(stdout, stderr));
        assert!(
            failure
                .hint
                .is_some_and(|hint| hint.contains("ssmtp, postfix"))
        );
    }

    #[test]
    fn names_never_pass_for_options() {
        let request = PackageRequest {
            name: "cron".to_owned(),
            version: Some("3.0".to_owned()),
        };
        let options = InstallOptions {
            recommends: Some(false),
            ..InstallOptions::default()
        };
        assert_eq!(
            install_words(&[request], &options),
            ["install", "--no-install-recommends", "--", "cron=3.0"]
        );
        assert_eq!(
            remove_words(
                &[],
                &RemoveOptions {
                    autoremove: true,
                    ..RemoveOptions::default()
                }
            ),
            ["autoremove", "--auto-remove", "--"]
        );
    }
}
