//! The bytes of a file, by digest, and held only where they are small enough
//! to show.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::mark;

/// Contents up to this size travel inside messages and are shown as a diff.
pub const INLINE_LIMIT: u64 = 256 * 1024;

/// What a file holds. Two are equal when their bytes are, whether or not the
/// text is at hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Content {
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Size in bytes.
    pub size: u64,
    /// The text, where it is UTF-8 and at most [`INLINE_LIMIT`] long; it may
    /// carry marks.
    pub text: Option<String>,
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.sha256 == other.sha256 && self.size == other.size
    }
}

impl Eq for Content {}

impl Content {
    /// The content of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let text = (bytes.len() as u64 <= INLINE_LIMIT)
            .then(|| std::str::from_utf8(bytes).ok())
            .flatten();
        Self {
            sha256: digest(bytes),
            size: bytes.len() as u64,
            text: text.map(str::to_owned),
        }
    }

    /// Whether a part of the content is a secret.
    pub fn has_secret(&self) -> bool {
        self.text.as_deref().is_some_and(mark::has_secret)
    }

    /// Where an unknown part comes from, if the content has one.
    pub fn unknown_origin(&self) -> Option<&str> {
        self.text.as_deref().and_then(mark::unknown_origin)
    }
}

/// SHA-256 of `bytes` in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// `bytes` as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all text");
        text
    })
}
