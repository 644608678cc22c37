//! The forms in which a value turns up: programs encode, escape and quote
//! what they are given before they print it.

use std::fmt::Write;

use super::SHORTEST;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The shortest line of a value of several that is looked for by itself.
const LINE: usize = 16;

/// Every form of `value` but the value itself, without those that are equal.
pub fn of(value: &str) -> Vec<String> {
    let mut forms = vec![
        url(value, "%20", true),
        url(value, "%20", false),
        url(value, "+", true),
        // Where it is a part of a path, as `urlencode` of templates has it.
        url(value, "%20", true).replace("%2F", "/"),
        json(value, false),
        json(value, true),
        shell(value),
        value.replace('\n', "\r\n"),
    ];
    for alphabet in [STANDARD, URL_SAFE] {
        forms.extend((0..3).map(|shift| base64(value.as_bytes(), shift, alphabet)));
    }
    if value.contains('\n') {
        forms.extend(lines(value));
    }
    let mut different: Vec<String> = Vec::new();
    for form in forms {
        if form != value && form.len() >= SHORTEST && !different.contains(&form) {
            different.push(form);
        }
    }
    different
}

/// The lines of a value that say something of it: those of a key, for
/// instance, but not the words around it.
fn lines(value: &str) -> impl Iterator<Item = String> {
    let telling = |line: &&str| line.len() >= LINE && !line.starts_with("-----");
    value
        .lines()
        .map(str::trim)
        .filter(telling)
        .map(str::to_owned)
}

/// As in a URL (RFC 3986), with the hexadecimal digits in either case.
fn url(value: &str, space: &str, upper: bool) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        let written = match (byte, upper) {
            (b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~', _) => {
                text.push(char::from(byte));
                Ok(())
            }
            (b' ', _) => text.write_str(space),
            (_, true) => write!(text, "%{byte:02X}"),
            (_, false) => write!(text, "%{byte:02x}"),
        };
        written.expect("a string takes all text");
    }
    text
}

/// As in a JSON text, without the quotes around it; or with all that is not
/// ASCII escaped, as Python does.
fn json(value: &str, ascii: bool) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    let inside = &quoted[1..quoted.len() - 1];
    if !ascii {
        return inside.to_owned();
    }
    let mut text = String::new();
    for letter in inside.chars() {
        if letter.is_ascii() {
            text.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            write!(text, "\\u{unit:04x}").expect("a string takes all text");
        }
    }
    text
}

/// As inside single quotes of a shell.
fn shell(value: &str) -> String {
    value.replace('\'', r"'\''")
}

/// The digits of base64 (RFC 4648) that are the value's alone when `shift`
/// other bytes come before it.
fn base64(value: &[u8], shift: usize, alphabet: &[u8; 64]) -> String {
    let bit = |index: usize| match index / 8 {
        byte if byte < shift => 0,
        byte => (value[byte - shift] >> (7 - index % 8)) & 1,
    };
    let (first, last) = ((shift * 8).div_ceil(6), (shift + value.len()) * 8 / 6);
    let digit = |digit: usize| {
        let bits = (digit * 6..digit * 6 + 6).map(bit);
        let index = bits.fold(0, |index, bit| index << 1 | usize::from(bit));
        char::from(alphabet[index])
    };
    (first..last).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_found_wherever_the_value_stands() {
        // `printf 'xhunter22' | base64` and so on; padding apart.
        assert_eq!(base64(b"hunter2!", 0, STANDARD), "aHVudGVyMi");
        assert!("eGh1bnRlcjIh".contains(&base64(b"hunter2!", 1, STANDARD)));
        assert!("eHhodW50ZXIyIQ==".contains(&base64(b"hunter2!", 2, STANDARD)));
        assert_eq!(base64(&[0xfb, 0xff, 0xfe], 0, STANDARD), "+//+");
        assert_eq!(base64(&[0xfb, 0xff, 0xfe], 0, URL_SAFE), "-__-");
    }

    #[test]
    fn each_form_is_there_once() {
        let forms = of("pä ss'\"$\n/+=");
        for form in [
            "p%C3%A4%20ss%27%22%24%0A%2F%2B%3D",
            "p%c3%a4%20ss%27%22%24%0a%2f%2b%3d",
            "p%C3%A4+ss%27%22%24%0A%2F%2B%3D",
            "p%C3%A4%20ss%27%22%24%0A/%2B%3D",
            r#"pä ss'\"$\n/+="#,
            r#"p\u00e4 ss'\"$\n/+="#,
            "pä ss'\\''\"$\n/+=",
            "pä ss'\"$\r\n/+=",
        ] {
            assert!(forms.contains(&form.to_owned()), "{form} in {forms:?}");
        }
        // What is plain has no other form but base64.
        assert_eq!(of("hunter22").len(), 3);
    }

    #[test]
    fn the_lines_of_a_key_are_looked_for_each() {
        let forms = of("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nshort\n-----END KEY-----\n");
        assert!(forms.contains(&"MIIEvQIBADANBgkqhkiG".to_owned()));
        assert!(
            !forms
                .iter()
                .any(|form| form == "short" || form == "-----BEGIN KEY-----")
        );
    }
}
