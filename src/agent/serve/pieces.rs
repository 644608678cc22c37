//! Contents that are sent when they are needed.

use std::io::{self, Write};
use std::rc::Rc;
use std::sync::mpsc::Receiver;

use sha2::{Digest, Sha256};

use super::link::Link;
use crate::content::hex;
use crate::module::Result;
use crate::outcome::Failure;
use crate::protocol::{Reply, Request};
use crate::system::live::ContentSource;

/// Contents that the controller holds, fetched when they are needed.
pub(super) struct Pieces {
    pub link: Rc<Link>,
    /// What the controller sends when asked.
    pub pieces: Receiver<Request>,
}

impl ContentSource for Pieces {
    fn fetch(&self, sha256: &str, sink: &mut dyn Write) -> Result<()> {
        let lost = || Failure::new("the controller was lost while it sent a file");
        self.link
            .send(&Reply::Want {
                sha256: sha256.to_owned(),
            })
            .map_err(|_| lost())?;
        let mut hasher = Sha256::new();
        let mut written = Ok(());
        loop {
            let Ok(Request::Content {
                sha256: sent,
                bytes,
                last,
            }) = self.pieces.recv()
            else {
                return Err(lost());
            };
            if sent != sha256 {
                return Err(Failure::new(format!(
                    "the controller sent {sent} for {sha256}"
                )));
            }
            hasher.update(&bytes);
            // What cannot be written is still on its way, and must not be
            // there when the next file is asked for.
            if written.is_ok() {
                written = sink.write_all(&bytes).map_err(|error| unwritten(&error));
            }
            if last {
                break;
            }
        }
        written?;
        match hex(&hasher.finalize()) == sha256 {
            true => Ok(()),
            false => Err(
                Failure::new("the file arrived with other bytes than it had")
                    .hint("It was changed while the run went on; run again."),
            ),
        }
    }
}

fn unwritten(error: &io::Error) -> Failure {
    let failure = Failure::new(format!("cannot write a file: {error}"));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failure.hint("The disk is full; what was there before is untouched.")
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::content::digest;

    fn pieces(bytes: &[&[u8]], sha256: &str) -> Pieces {
        let (sender, pieces) = mpsc::channel();
        for (index, bytes) in bytes.iter().enumerate() {
            let piece = Request::Content {
                sha256: sha256.to_owned(),
                bytes: bytes.to_vec(),
                last: index == 1,
            };
            sender.send(piece).expect("it is received");
        }
        Pieces {
            link: Rc::new(Link::new(io::sink())),
            pieces,
        }
    }

    #[test]
    fn a_content_with_another_digest_is_refused() {
        let mut sink = Vec::new();
        let sha256 = digest(b"one two");
        let right = pieces(&[b"one ", b"two"], &sha256);
        right.fetch(&sha256, &mut sink).expect("it is whole");
        assert_eq!(sink, b"one two");
        let wrong = pieces(&[b"one ", b"tow"], &sha256);
        let failure = wrong.fetch(&sha256, &mut sink).expect_err("it is not");
        assert!(failure.message.contains("other bytes"), "{failure}");
    }

    #[test]
    fn what_cannot_be_written_does_not_stay_in_the_way() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let sha256 = digest(b"one two");
        let source = pieces(&[b"one ", b"two"], &sha256);
        let failure = source.fetch(&sha256, &mut Full).expect_err("it is full");
        assert!(failure.hint.is_some_and(|hint| hint.contains("full")));
        assert!(source.pieces.try_recv().is_err(), "nothing is left over");
    }
}
