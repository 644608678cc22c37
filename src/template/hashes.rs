//! Filters that give the checksum of a text.

use minijinja::{Error, Value};
use sha1::{Digest, Sha1};
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::builtins::invalid;
use super::marks::Registry;
use super::python;

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    registry.reader("hash", |value: &Value, kind: Option<&str>| {
        hash(&python::text(value), kind.unwrap_or("sha1"))
    });
    registry.reader("md5", |value: &Value| hex::<md5::Md5>(&python::text(value)));
    for name in ["sha1", "checksum"] {
        registry.reader(name, |value: &Value| hex::<Sha1>(&python::text(value)));
    }
    registry.reader("to_uuid", |value: &Value| uuid(&python::text(value)));
}

fn hash(text: &str, kind: &str) -> Result<String, Error> {
    Ok(match kind {
        "md5" => hex::<md5::Md5>(text),
        "sha1" => hex::<Sha1>(text),
        "sha224" => hex::<Sha224>(text),
        "sha256" => hex::<Sha256>(text),
        "sha384" => hex::<Sha384>(text),
        "sha512" => hex::<Sha512>(text),
        _ => {
            let message = "`hash` knows md5, sha1, sha224, sha256, sha384 and sha512";
            return Err(invalid(message));
        }
    })
}

fn hex<D: Digest>(text: &str) -> String {
    let digest = D::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The UUID (version 5) of a name in the namespace that Ansible uses.
fn uuid(name: &str) -> String {
    const NAMESPACE: [u8; 16] = [
        0x36, 0x1e, 0x6d, 0x51, 0xfa, 0xec, 0x44, 0x4a, 0x90, 0x79, 0x34, 0x13, 0x86, 0xda, 0x8e,
        0x2e,
    ];
    let digest = Sha1::new()
        .chain_update(NAMESPACE)
        .chain_update(name.as_bytes())
        .finalize();
    let mut bytes: Vec<u8> = digest[..16].to_vec();
    bytes[6] = (bytes[6] & 0x0f) | 0x50;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}
