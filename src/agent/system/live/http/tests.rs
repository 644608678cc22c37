//! Against a server of the tests' own, on loopback.

use std::net::TcpListener;

use super::*;
use crate::system::server::{answer, ok, serve};

fn get(url: &str) -> HttpRequest {
    HttpRequest {
        timeout: 2,
        ..HttpRequest::new("GET", url)
    }
}

#[test]
fn an_answer_is_read_whole_whatever_its_status() {
    let server = serve(|head, body| match head.starts_with("POST /x?y=1 ") {
        true => ok(format!("{head}{body}").as_bytes()),
        false => answer("404 Not Found", &[], b"none"),
    });
    let mut request = HttpRequest::new("POST", &format!("{server}/x?y=1"));
    request.body = Some(http::Body::Text("{\"a\": 1}".into()));
    request.headers.insert("X-Token".into(), "t".into());
    (request.user, request.password) = (Some("me".into()), Some("secret".into()));
    let answered = send(&request).unwrap();
    assert_eq!(answered.status, 200);
    assert_eq!(answered.headers["x-kind"], "Test");
    let head = answered.body.to_lowercase();
    assert!(head.contains("x-token: t\r\n"), "{head}");
    assert!(answered.body.contains("Basic bWU6c2VjcmV0"), "{head}");
    assert!(head.ends_with("{\"a\": 1}"), "{head}");
    let missing = send(&get(&server)).unwrap();
    assert_eq!((missing.status, missing.body.as_str()), (404, "none"));
}

#[test]
fn redirections_are_followed_when_asked_for() {
    let server = serve(|head, _| match head.starts_with("GET /old ") {
        true => answer("302 Found", &["Location: /new"], b""),
        false if head.starts_with("GET /loop ") => answer("302 Found", &["Location: /loop"], b""),
        false => ok(b"new"),
    });
    let mut request = get(&format!("{server}/old"));
    let answered = send(&request).unwrap();
    assert_eq!((answered.status, answered.body.as_str()), (200, "new"));
    assert_eq!(answered.url, format!("{server}/new"));
    request.follow_redirects = false;
    assert_eq!(send(&request).unwrap().status, 302);
    let failure = send(&get(&format!("{server}/loop"))).unwrap_err();
    assert!(failure.message.contains("more than 10 times"), "{failure}");
}

#[test]
fn what_is_for_one_server_is_told_to_no_other() {
    let tells = |head: &str| ok(head.to_lowercase().as_bytes());
    let other = serve(move |head, _| tells(head));
    let away = format!("Location: {other}/new");
    let server = serve(move |head, _| match head.split(' ').nth(1) {
        Some("/away") => answer("302 Found", &[&away], b""),
        Some("/body") => answer("307 Temporary Redirect", &[&away], b""),
        Some("/here") => answer("301 Moved Permanently", &["Location: new"], b""),
        _ => tells(head),
    });
    let mut request = get(&format!("{server}/here"));
    request.headers.insert("X-Token".into(), "t".into());
    (request.user, request.password) = (Some("me".into()), Some("secret".into()));
    let told = |request: &HttpRequest| {
        let body = send(request).unwrap().body;
        (body.contains("x-token"), body.contains("authorization"))
    };
    assert_eq!(told(&request), (true, true));
    request.url = format!("{server}/away");
    assert_eq!(told(&request), (false, false));
    request.method = "POST".into();
    request.body = Some(http::Body::Text("hush".into()));
    assert_eq!(told(&request), (false, false));
    request.url = format!("{server}/body");
    let failure = send(&request).unwrap_err();
    assert!(failure.message.contains("another server"), "{failure}");
}

#[test]
fn a_download_is_hashed_and_a_small_text_kept() {
    let large = vec![b'x'; 3 * 1024 * 1024];
    let server = serve(move |head, _| match head.starts_with("GET /large ") {
        true => ok(&large),
        false if head.starts_with("GET /small ") => ok(b"small\n"),
        false => answer("403 Forbidden", &[], b""),
    });
    let mut sink = Vec::new();
    let content = download(&get(&format!("{server}/small")), &mut sink).unwrap();
    assert_eq!(
        (content.clone(), &sink[..]),
        (Content::of(b"small\n"), &b"small\n"[..])
    );
    assert_eq!(content.text.as_deref(), Some("small\n"));
    let content = download(&get(&format!("{server}/large")), &mut io::sink()).unwrap();
    assert_eq!(
        (content.size, content.text.is_none()),
        (3 * 1024 * 1024, true)
    );
    let failure = download(&get(&server), &mut io::sink()).unwrap_err();
    assert!(
        failure.message.ends_with("answers 403 Forbidden"),
        "{failure}"
    );
}

#[test]
fn what_does_not_answer_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let mut request = get(&silent);
    request.timeout = 1;
    let failure = send(&request).unwrap_err();
    assert!(
        failure.message.contains("did not answer within 1 second"),
        "{failure}"
    );
    drop(listener);
    let failure = send(&get(&silent)).unwrap_err();
    assert!(failure.message.contains("refused"), "{failure}");
    let failure = send(&get("http://no-such-host.invalid/")).unwrap_err();
    assert!(
        failure
            .message
            .contains("there is no host no-such-host.invalid"),
        "{failure}"
    );
    for url in ["nonsense", "ftp://example.org/x", "http://"] {
        assert!(send(&get(url)).is_err(), "{url}");
    }
}

#[test]
fn names_are_asked_of_the_host() {
    let server = serve(|_, _| ok(b"here"));
    let by_name = server.replace("127.0.0.1", "localhost");
    assert_eq!(send(&get(&by_name)).unwrap().body, "here");
}

#[test]
fn forms_are_written_as_browsers_do() {
    let fields = [("a b", "ä&=*"), ("c", "")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let form = http::Body::Form(fields.into());
    assert_eq!(written(&form), "a+b=%C3%A4%26%3D*&c=");
}

#[test]
fn basic_authentication_is_base64() {
    for (user, password, value) in [
        ("", "", "Basic Og=="),
        ("a", "", "Basic YTo="),
        ("a", "b", "Basic YTpi"),
        (
            "Aladdin",
            "open sesame",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
    ] {
        assert_eq!(basic(user, password), value);
    }
}
