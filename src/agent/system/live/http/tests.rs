//! Against a server of the tests' own, on loopback.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::thread;

use super::*;

/// Answers each request with what `answer` makes of its head and body; returns
/// the server's address.
fn serve(answer: impl Fn(&str, &str) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let mut reader = BufReader::new(&stream);
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|count| count > 2) {}
            let length = head
                .lines()
                .filter_map(|line| {
                    line.to_lowercase()
                        .strip_prefix("content-length:")?
                        .trim()
                        .parse()
                        .ok()
                })
                .next()
                .unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer = answer(&head, &String::from_utf8(body).unwrap());
            // A client that has seen enough hangs up.
            let _ = (&stream).write_all(&answer);
        }
    });
    format!("http://{address}")
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Kind: Test\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

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
        false => {
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone".to_vec()
        }
    });
    let mut request = HttpRequest::new("POST", &format!("{server}/x?y=1"));
    request.body = Some("{\"a\": 1}".into());
    request.headers.insert("X-Token".into(), "t".into());
    (request.user, request.password) = (Some("me".into()), Some("secret".into()));
    let answer = send(&request).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["x-kind"], "Test");
    let head = answer.body.to_lowercase();
    assert!(head.contains("x-token: t\r\n"), "{head}");
    assert!(answer.body.contains("Basic bWU6c2VjcmV0"), "{head}");
    assert!(head.ends_with("{\"a\": 1}"), "{head}");
    let missing = send(&get(&server)).unwrap();
    assert_eq!((missing.status, missing.body.as_str()), (404, "none"));
}

#[test]
fn redirections_are_followed_when_asked_for() {
    let server = serve(|head, _| {
        match head.starts_with("GET /old ") {
        true => b"HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
        false if head.starts_with("GET /loop ") => b"HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
        false => ok(b"new"),
    }
    });
    let mut request = get(&format!("{server}/old"));
    let answer = send(&request).unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "new"));
    assert_eq!(answer.url, format!("{server}/new"));
    request.follow_redirects = false;
    assert_eq!(send(&request).unwrap().status, 302);
    let failure = send(&get(&format!("{server}/loop"))).unwrap_err();
    assert!(failure.message.contains("more than 10 times"), "{failure}");
}

#[test]
fn a_download_is_hashed_and_a_small_text_kept() {
    let large = vec![b'x'; 3 * 1024 * 1024];
    let server = serve(move |head, _| match head.starts_with("GET /large ") {
        true => ok(&large),
        false if head.starts_with("GET /small ") => ok(b"small\n"),
        false => {
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
        }
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
