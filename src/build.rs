//! Builds the agent as a static program, to be embedded in the controller.
//!
//! A nested cargo with a target directory of its own (cargo waits for its own
//! lock otherwise), and without the flags and wrappers of the outer build.
//! `VEZA_AGENT` names an agent built elsewhere, to be embedded instead.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

const MUSL: &str = "x86_64-unknown-linux-musl";

fn main() -> Result<(), Box<dyn Error>> {
    for path in ["src/agent", "stdlib", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-env-changed=VEZA_AGENT");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let agent = match env::var_os("VEZA_AGENT") {
        Some(path) => PathBuf::from(path),
        None => build(&out.join("agent-target"))?,
    };
    println!("cargo::rerun-if-changed={}", agent.display());
    std::fs::copy(&agent, out.join("veza-agent"))
        .map_err(|error| format!("cannot take the agent {}: {error}", agent.display()))?;
    Ok(())
}

fn build(directory: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let target = target()?;
    let profile = match env::var("PROFILE")?.as_str() {
        "release" => "agent",
        _ => "agent-dev",
    };
    let mut cargo = Command::new(env::var_os("CARGO").ok_or("CARGO is not set")?);
    cargo
        .args([
            "build",
            "--locked",
            "--package",
            "veza-agent",
            "--bin",
            "veza-agent",
        ])
        .args(["--profile", profile, "--target", &target, "--target-dir"])
        .arg(directory);
    for (name, _) in env::vars_os() {
        if leaks(&name.to_string_lossy()) {
            cargo.env_remove(name);
        }
    }
    let flags = format!(
        "CARGO_TARGET_{}_RUSTFLAGS",
        target.to_uppercase().replace('-', "_")
    );
    cargo.env(flags, "-C target-feature=+crt-static");
    if !cargo.status()?.success() {
        return Err(format!(
            "the agent could not be built for {target}; a static program needs the C library's \
             archive, libc.a (package libc6-dev on Debian, glibc-static on Fedora), or the target {MUSL}"
        )
        .into());
    }
    Ok(directory.join(target).join(profile).join("veza-agent"))
}

/// musl makes the smaller program, where it is installed.
fn target() -> Result<String, Box<dyn Error>> {
    let rustc = env::var_os("RUSTC").ok_or("RUSTC is not set")?;
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", MUSL])
        .output()?;
    let directory = String::from_utf8(output.stdout)?;
    let host = env::var("HOST")?;
    match host.starts_with("x86_64") && Path::new(directory.trim()).is_dir() {
        true => Ok(MUSL.to_owned()),
        false => Ok(host),
    }
}

/// Whether a variable of the outer build would change the inner one.
fn leaks(name: &str) -> bool {
    let prefixes = [
        "CARGO_CFG_",
        "CARGO_FEATURE_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "DEP_",
    ];
    let names = [
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_LINKS",
        "CARGO_MANIFEST_PATH",
        "CARGO_TARGET_DIR",
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "PROFILE",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
        "TARGET",
    ];
    names.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}
