//! Looks for values in all that a run prints, starts and leaves.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

/// Every form in which a value must not be found.
pub fn forms(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let json = serde_json::to_string(value).expect("it is text");
    let mut url = String::new();
    for byte in bytes {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => {
                url.push(char::from(*byte));
            }
            byte => url += &format!("%{byte:02X}"),
        }
    }
    let mut forms = vec![
        value.trim_end().to_owned(),
        url.trim_end_matches("%0A").to_owned(),
        json.trim_matches('"').to_owned(),
        value.replace('\'', r"'\''"),
    ];
    for shift in 0..3 {
        let padded = [&b"xx"[..shift], bytes].concat();
        // What is around it has a part in the first and last digits.
        let digits = |text: String| {
            let text = text.trim_end_matches('=');
            text[shift * 8 / 6 + usize::from(shift > 0)..text.len() - 1].to_owned()
        };
        forms.push(digits(BASE64_STANDARD.encode(&padded)));
        forms.push(digits(BASE64_URL_SAFE.encode(&padded)));
    }
    let telling = |line: &&str| line.len() >= 16 && !line.starts_with("-----");
    forms.extend(
        value
            .lines()
            .map(str::trim)
            .filter(telling)
            .map(str::to_owned),
    );
    forms
}

#[track_caller]
pub fn nothing_of(values: &[&str], text: &str, place: &str) {
    for form in values.iter().flat_map(|value| forms(value)) {
        let lines = text
            .lines()
            .filter(|line| line.contains(&form) || form.contains('\n'));
        assert!(
            !text.contains(&form),
            "{form:?} is in {place}: {:?}",
            lines.take(3).collect::<Vec<_>>()
        );
    }
}

/// The words and environments of all processes of this machine and its
/// containers, while `run` runs.
pub fn watched<T>(run: impl FnOnce() -> T) -> (T, String) {
    let done = Arc::new(AtomicBool::new(false));
    let over = done.clone();
    let sampler = thread::spawn(move || {
        let mut seen = BTreeSet::new();
        while !over.load(Ordering::SeqCst) {
            sample(&mut seen);
            thread::sleep(Duration::from_millis(5));
        }
        seen
    });
    let result = run();
    done.store(true, Ordering::SeqCst);
    let seen = sampler.join().expect("it ends");
    (result, seen.into_iter().collect::<Vec<_>>().join("\n"))
}

fn sample(seen: &mut BTreeSet<String>) {
    let me = std::process::id().to_string();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy() == me.as_str() {
            continue;
        }
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace('\0', "\n");
        let environment = text(read("environ"));
        // Such a command was given the secret, and only its user may see it.
        if !environment.contains("GIVEN=on-purpose") {
            seen.insert(environment);
        }
        seen.insert(text(read("cmdline")));
    }
}

/// The files of a container that hold one of the values in any form.
pub fn files_with(host: &str, values: &[&str]) -> BTreeSet<String> {
    let patterns: Vec<String> = values
        .iter()
        .flat_map(|value| forms(value))
        .flat_map(|form| form.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.len() >= 8 && !line.starts_with("-----"))
        .collect();
    let mut grep = Command::new("incus")
        .args(["exec", host, "--", "grep", "-rlasF", "-f", "-"])
        .args([
            "/etc", "/var", "/tmp", "/root", "/home", "/run", "/opt", "/srv", "/dev/shm",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("incus starts");
    let mut input = grep.stdin.take().expect("it reads");
    input
        .write_all(patterns.join("\n").as_bytes())
        .expect("it takes all");
    drop(input);
    let found = grep.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&found.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}
