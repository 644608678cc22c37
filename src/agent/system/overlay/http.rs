//! Requests in a dry run: what servers answer now, where that will not change.

use super::Overlay;
use crate::http::HttpRequest;
use crate::module::Result;
use crate::system::{Found, Reads};

impl Overlay {
    /// A server on this host may answer otherwise once the changes before are
    /// real, and one that does not answer may be a server that another host of
    /// the run is about to start.
    pub(super) fn ask_server<T>(
        &self,
        request: &HttpRequest,
        ask: impl Fn(&dyn Reads) -> Result<Found<T>>,
    ) -> Result<Found<T>> {
        if let Some(origin) = request.unknown_origin() {
            return Ok(Found::Unknown(origin));
        }
        if request.is_local() && !self.pending.is_empty() {
            let url = &request.url;
            return Ok(Found::Unknown(format!(
                "{url}, after the changes before it"
            )));
        }
        match ask(&*self.base) {
            // One that answered has told its status.
            Err(failure) if failure.values.is_empty() => {
                Ok(Found::Unknown(format!("{failure}, in this dry run")))
            }
            answer => answer,
        }
    }
}
