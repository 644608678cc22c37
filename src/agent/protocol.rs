//! What controller and agent say to each other, and how it is framed.
//!
//! The agent prints [`GREETING`], so that whatever a login shell printed
//! before can be told apart. Then frames go both ways: a length (32 bits,
//! little endian), and that many bytes of MessagePack with named fields.
//! Requests are not waited for one by one; the agent carries out calls in
//! order and, after one failed, drops the rest until it is told to resume.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::outcome::{Failure, Outcome};
use crate::secrets::Secret;
use crate::system::due::DueHandler;
use crate::system::live::Stream;
use crate::system::overlay::Pending;

/// The first bytes a started agent prints.
pub const GREETING: &[u8] = b"\nveza-agent ready 1\n";

/// The version of everything after the greeting. Controller and agent are of
/// one build, so any other is a mistake to be reported.
pub const VERSION: u32 = 1;

/// The agent's option for a [`Request::Hello`] in JSON, which is then not sent.
pub const HELLO_ARGUMENT: &str = "--hello";

/// The largest frame either side accepts, in bytes. All that a command may
/// print fits in one, and so does a directory of small files.
pub const MAX_FRAME: usize = 64 * 1024 * 1024;

/// How deep values in a frame may be nested, as in JSON texts: each level takes
/// a part of the reader's stack.
const MAX_DEPTH: usize = 128;

/// The largest piece of a content, in bytes.
pub const PIECE: usize = 256 * 1024;

/// Controller to agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Comes first. Stays the first variant for ever.
    Hello {
        /// The protocol's version.
        version: u32,
        /// Where effects go.
        world: World,
        /// Names the run in the journal.
        run: String,
    },
    /// A task.
    Call {
        /// Chosen by the controller, rising.
        id: u64,
        /// The module.
        module: String,
        /// Its arguments.
        arguments: Value,
    },
    /// Names the handlers that the next call notifies, or the module whose
    /// requests follow: they are due before it changes anything.
    Notifies(Vec<DueHandler>),
    /// Changes which handlers are due, apart from any call; answered with
    /// [`Reply::Answer`].
    Due {
        /// Chosen by the controller, rising.
        id: u64,
        /// Those that are from now on.
        add: Vec<DueHandler>,
        /// Those that are no longer.
        remove: Vec<DueHandler>,
    },
    /// A module that runs on the controller reads or changes the host, through
    /// a function of [`crate::door`].
    Door {
        /// Chosen by the controller, rising.
        id: u64,
        /// The function.
        function: String,
        /// Its arguments.
        arguments: Value,
    },
    /// That module is done: asks for what it did, as [`Reply::Done`] with
    /// nothing but effects and assumptions.
    Records {
        /// Chosen by the controller, rising.
        id: u64,
    },
    /// The values of secrets that calls sent from now on name.
    Secrets(BTreeMap<String, Secret>),
    /// The failure was dealt with: calls sent from now on are carried out.
    Resume,
    /// A piece of a content the agent asked for.
    Content {
        /// Which.
        sha256: String,
        /// The bytes.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        /// Whether this is the last piece.
        last: bool,
    },
    /// Asks for what a dry run has recorded.
    TakePending,
    /// Hands over what a dry run under another user has recorded.
    SetPending(Box<Pending>),
    /// A dry run goes on as a user whom the host does not know yet, since an
    /// earlier task makes it; or again as the agent's own.
    ActAs(Option<String>),
    /// End what runs now and drop the rest.
    Cancel,
    /// The session is over.
    Bye,
}

/// Agent to controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Answers [`Request::Hello`].
    Ready {
        /// The protocol's version.
        version: u32,
        /// What the host is.
        facts: Value,
        /// Handlers that earlier runs left to be run.
        due: Vec<DueHandler>,
    },
    /// A task ended.
    Done {
        /// Of which call.
        id: u64,
        /// How.
        outcome: Box<Outcome>,
        /// Wall time in milliseconds.
        milliseconds: u64,
    },
    /// Answers [`Request::Door`] and [`Request::Due`].
    Answer {
        /// Of which request.
        id: u64,
        /// What was found or done, or why not.
        answer: std::result::Result<Value, Failure>,
    },
    /// A task was not begun, or a module's request not heeded, since a task
    /// before it failed or the run was cancelled.
    Dropped {
        /// Of which call or request.
        id: u64,
    },
    /// A running command printed something.
    Output {
        /// Of which call.
        id: u64,
        /// Where it printed.
        stream: Stream,
        /// The text, with what is not UTF-8 replaced.
        text: String,
    },
    /// The agent needs a content; [`Request::Content`] answers.
    Want {
        /// Which.
        sha256: String,
    },
    /// Answers [`Request::TakePending`].
    Pending(Box<Pending>),
    /// The agent cannot go on; it ends after this.
    Refused {
        /// Why, as a sentence without a full stop.
        reason: String,
        /// What to do.
        hint: Option<String>,
    },
}

/// Where effects go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum World {
    /// To the host.
    Live,
    /// To an overlay over the host.
    DryRun,
    /// To a virtual host kept in this directory.
    Sandbox {
        /// The directory; made when needed.
        directory: PathBuf,
        /// The host's name.
        host: String,
    },
    /// To an overlay over a host that is not there yet, taken for a fresh
    /// Debian.
    Planned {
        /// What the host is called.
        host: String,
    },
    /// To an overlay over a virtual host.
    SandboxDryRun {
        /// The virtual host's directory.
        directory: PathBuf,
        /// The host's name.
        host: String,
    },
}

/// Why a frame could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side closed the connection between two frames.
    #[error("the connection was closed")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// A frame is larger than [`MAX_FRAME`].
    #[error("a frame of {0} bytes is larger than allowed")]
    TooLarge(usize),
    /// The bytes of a frame mean nothing.
    #[error("a frame cannot be understood: {0}")]
    Malformed(String),
}

/// Refuses data that would make a message larger than a frame may be: that is
/// the fault of who asks for it, and no reason to give up the connection.
///
/// # Errors
/// When it is too large.
pub fn check_size(data: &Value) -> std::result::Result<(), Failure> {
    // The rest of a message is small, and so is what is around each value.
    const AROUND: usize = 9;
    let size = size_of(data, AROUND);
    match size + 4096 <= MAX_FRAME {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "the arguments are about {} MiB, and at most {} MiB can be sent",
            size >> 20,
            MAX_FRAME >> 20
        ))
        .hint("Put large contents into files: they are sent in pieces.")),
    }
}

fn size_of(data: &Value, around: usize) -> usize {
    let inside = match data {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| size_of(item, around)).sum(),
        Value::Object(fields) => {
            let size =
                |(key, field): (&String, &Value)| around + key.len() + size_of(field, around);
            fields.iter().map(size).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    around + inside
}

/// Writes a message as one frame. The caller flushes.
pub fn write_frame<T: Serialize>(sink: &mut dyn Write, message: &T) -> Result<(), FrameError> {
    let bytes = rmp_serde::to_vec_named(message)
        .map_err(|error| FrameError::Malformed(error.to_string()))?;
    let length = u32::try_from(bytes.len())
        .ok()
        .filter(|length| *length as usize <= MAX_FRAME)
        .ok_or(FrameError::TooLarge(bytes.len()))?;
    sink.write_all(&length.to_le_bytes())?;
    sink.write_all(&bytes)?;
    Ok(())
}

/// Reads one frame.
pub fn read_frame<T: DeserializeOwned>(source: &mut dyn Read) -> Result<T, FrameError> {
    let mut length = [0; 4];
    read_length(source, &mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(FrameError::TooLarge(length));
    }
    // The length is a stranger's word: memory is taken as bytes arrive.
    let mut bytes = Vec::new();
    source.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(FrameError::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    let mut left = bytes.as_slice();
    let mut deserializer = rmp_serde::Deserializer::new(&mut left);
    deserializer.set_max_depth(MAX_DEPTH);
    let message = T::deserialize(&mut deserializer)
        .map_err(|error| FrameError::Malformed(error.to_string()))?;
    match left.len() {
        0 => Ok(message),
        count => Err(FrameError::Malformed(format!(
            "{count} bytes are left over"
        ))),
    }
}

fn read_length(source: &mut dyn Read, length: &mut [u8; 4]) -> Result<(), FrameError> {
    let mut read = 0;
    while read < length.len() {
        match source.read(&mut length[read..]) {
            Ok(0) if read == 0 => return Err(FrameError::Closed),
            Ok(0) => return Err(FrameError::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(request: &Request) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, request).expect("fits");
        bytes
    }

    #[test]
    fn a_request_survives_the_way() {
        let request = Request::Call {
            id: 7,
            module: "file".to_owned(),
            arguments: serde_json::json!({ "path": "/x", "mode": 0o644, "list": [1, null, 2.5] }),
        };
        let read: Request = read_frame(&mut frame(&request).as_slice()).expect("reads back");
        assert_eq!(read, request);
    }

    #[test]
    fn a_cut_frame_is_an_error_and_an_end_between_frames_is_not() {
        let bytes = frame(&Request::Bye);
        for cut in 1..bytes.len() {
            let read: Result<Request, _> = read_frame(&mut &bytes[..cut]);
            assert!(matches!(read, Err(FrameError::Broken(_))), "cut at {cut}");
        }
        let read: Result<Request, _> = read_frame(&mut &[][..]);
        assert!(matches!(read, Err(FrameError::Closed)));
    }

    #[test]
    fn an_oversized_length_is_refused_before_memory_is_taken() {
        let read: Result<Request, _> = read_frame(&mut &[0xff; 8][..]);
        assert!(matches!(read, Err(FrameError::TooLarge(_))));
    }

    #[test]
    fn junk_is_malformed_and_never_a_panic() {
        let mut seed = 1_u64;
        for _ in 0..2000 {
            let junk: Vec<u8> = (0..40)
                .map(|_| {
                    seed = seed
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    (seed >> 33) as u8
                })
                .collect();
            let mut framed = (junk.len() as u32).to_le_bytes().to_vec();
            framed.extend(&junk);
            let read: Result<Request, _> = read_frame(&mut framed.as_slice());
            assert!(read.is_err());
        }
    }

    #[test]
    fn what_check_size_lets_pass_fits_into_a_frame() {
        let text = "x".repeat(MAX_FRAME - 8192);
        let fits = serde_json::json!({ "a": [text, 1, null], "b": { "c": true } });
        assert!(check_size(&fits).is_ok());
        let call = Request::Call {
            id: 1,
            module: "command".into(),
            arguments: fits,
        };
        assert!(write_frame(&mut Vec::new(), &call).is_ok());
        let more = serde_json::json!([text, "x".repeat(8192)]);
        let failure = check_size(&more).expect_err("it is too large");
        assert!(failure.message.contains("at most 64 MiB"), "{failure:?}");
    }
}
