//! Where answers lead on to. ureq would follow them, but with the headers of
//! the caller, whosever server they lead to.

use ureq::Body;
use ureq::http::{Response, StatusCode};

use crate::http::{HttpRequest, is_same_server};
use crate::module::Result;
use crate::outcome::Failure;

/// Where an answer leads, if it is a redirection.
pub fn location(answer: &Response<Body>) -> Option<&str> {
    let follows = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = answer.headers().get("location")?.to_str().ok()?;
    follows.then_some(location)
}

/// The request that comes next.
pub fn follow(request: HttpRequest, status: StatusCode, location: &str) -> Result<HttpRequest> {
    let url = joined(&request.url, location);
    let mut next = match is_same_server(&request.url, &url) {
        true => request,
        false if request.body.is_some() && keeps_method(status) => {
            return Err(Failure::new(format!(
                "{} leads on to another server, {url}, which is not sent the body",
                request.url
            ))
            .hint("Ask that server itself, if it is the right one."));
        }
        false => request.without_credentials(),
    };
    next.url = url;
    if !keeps_method(status) && next.method != "HEAD" {
        next.method = "GET".to_owned();
        next.body = None;
        next.headers
            .retain(|name, _| !name.to_ascii_lowercase().starts_with("content-"));
    }
    Ok(next)
}

fn keeps_method(status: StatusCode) -> bool {
    matches!(status.as_u16(), 307 | 308)
}

/// A reference against the URL that it stands in (RFC 3986, 5.2).
fn joined(base: &str, reference: &str) -> String {
    let reference = reference.split('#').next().unwrap_or_default();
    let has_scheme = reference
        .split_once(':')
        .is_some_and(|(scheme, _)| !scheme.contains(['/', '?']));
    if has_scheme {
        return reference.to_owned();
    }
    let base = base.split('#').next().unwrap_or_default();
    let (scheme, rest) = base.split_once("://").unwrap_or(("http", base));
    if reference.starts_with("//") {
        return format!("{scheme}:{reference}");
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let path = match reference.chars().next() {
        None => return base.to_owned(),
        Some('/') => reference.to_owned(),
        Some('?') => format!("{path}{reference}"),
        Some(_) => format!(
            "{}/{reference}",
            path.rsplit_once('/').map_or("", |(above, _)| above)
        ),
    };
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    format!("{scheme}://{authority}{}{query}", without_dots(path))
}

fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        parts.push("");
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_joined_to_the_url() {
        for (base, reference, expected) in [
            ("http://a/b/c?d", "https://x/y", "https://x/y"),
            ("http://a/b/c?d", "//x/y", "http://x/y"),
            ("http://a/b/c?d", "/y?z=/..", "http://a/y?z=/.."),
            ("http://a/b/c?d", "y", "http://a/b/y"),
            ("http://a/b/c?d", "../y/./z/", "http://a/y/z/"),
            ("http://a/b/c?d", "../../..", "http://a/"),
            ("http://a/b/c?d", "/y//z", "http://a/y//z"),
            ("http://a/b/c?d", "?e", "http://a/b/c?e"),
            ("http://a/b/c?d", "#e", "http://a/b/c?d"),
            ("http://a", "y", "http://a/y"),
            ("http://a:8080?q", "y:z", "y:z"),
        ] {
            assert_eq!(joined(base, reference), expected, "{base} {reference}");
        }
    }
}
