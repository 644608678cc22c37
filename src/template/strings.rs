//! Filters of texts: encoding, quoting, commenting, cutting.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use minijinja::value::{Kwargs, Rest};
use minijinja::{Error, Value};

use super::builtins::invalid;
use super::marks::Registry;
use super::python;

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    registry.reader("b64encode", b64encode);
    registry.reader("b64decode", b64decode);
    registry.reader("quote", |value: &Value| {
        quote(&if value.is_none() {
            String::new()
        } else {
            python::text(value)
        })
    });
    registry.reader("comment", comment);
    registry.reader("truncate", truncate);
    registry.reader("wordwrap", wordwrap);
    registry.reader("split", split);
    registry.reader(
        "format",
        |value: &Value, args: Rest<Value>, kwargs: Kwargs| {
            let names: Vec<String> = kwargs.args().map(str::to_owned).collect();
            if names.is_empty() {
                return super::numbers::percent_format(
                    &python::text(value),
                    &args.iter().cloned().collect(),
                );
            }
            let pairs = names
                .into_iter()
                .map(|name| Ok((name.clone(), kwargs.get::<Value>(&name)?)));
            let pairs: Vec<(String, Value)> = pairs.collect::<Result<_, Error>>()?;
            super::numbers::percent_format(&python::text(value), &Value::from_pairs(pairs))
        },
    );
}

fn url_safe(kwargs: &Kwargs) -> Result<bool, Error> {
    let encoding: Option<String> = kwargs.get("encoding")?;
    let url_safe = kwargs.get::<Option<bool>>("urlsafe")?.unwrap_or_default();
    kwargs.assert_all_used()?;
    match encoding.map(|name| name.to_lowercase()).as_deref() {
        None | Some("utf-8" | "utf8" | "ascii") => Ok(url_safe),
        _ => Err(invalid("only the encoding utf-8 is known")),
    }
}

fn b64encode(value: &Value, kwargs: Kwargs) -> Result<String, Error> {
    let engine = if url_safe(&kwargs)? {
        URL_SAFE
    } else {
        STANDARD
    };
    Ok(engine.encode(python::text(value)))
}

fn b64decode(value: &Value, kwargs: Kwargs) -> Result<String, Error> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true);
    let alphabet = if url_safe(&kwargs)? {
        base64::alphabet::URL_SAFE
    } else {
        base64::alphabet::STANDARD
    };
    // Python skips what is not of the alphabet, such as the newlines of a file.
    let known = |c: &char| alphabet.as_str().contains(*c) || *c == '=';
    let text: String = python::text(value).chars().filter(known).collect();
    let bytes = GeneralPurpose::new(&alphabet, LENIENT)
        .decode(text)
        .map_err(|_| invalid("the text is not base64"))?;
    String::from_utf8(bytes).map_err(|_| invalid("the decoded bytes are not UTF-8 text"))
}

/// Quotes a word for the shell.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%_-+=:,./".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

fn comment(value: &Value, style: Option<&str>, kwargs: Kwargs) -> Result<String, Error> {
    let (beginning, decoration, end) = match style.unwrap_or("plain") {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        other => {
            return Err(invalid(format!(
                "there is no style `{other}`; write plain, erlang, c, cblock or xml"
            )));
        }
    };
    let option = |name: &str, default: &str| {
        Ok::<_, Error>(
            kwargs
                .get::<Option<String>>(name)?
                .unwrap_or_else(|| default.to_owned()),
        )
    };
    let count = |name: &str| Ok::<_, Error>(kwargs.get::<Option<usize>>(name)?.unwrap_or(1));
    let decoration = option("decoration", decoration)?;
    let bare = decoration.trim_end();
    let (newline, prefix, postfix) = (
        option("newline", "\n")?,
        option("prefix", bare)?,
        option("postfix", bare)?,
    );
    let (beginning, end) = (option("beginning", beginning)?, option("end", end)?);
    let (prefix_count, postfix_count) = (count("prefix_count")?, count("postfix_count")?);
    kwargs.assert_all_used()?;

    let mut out = String::new();
    if !beginning.is_empty() {
        out.push_str(&format!("{beginning}{newline}"));
    }
    if prefix == newline {
        out.push_str(&newline.repeat(prefix_count));
    } else if !prefix.is_empty() {
        out.push_str(&format!("{prefix}{newline}").repeat(prefix_count));
    }
    let decorated = python::text(value).replace(&newline, &format!("{newline}{decoration}"));
    // No blanks at the end of a line that holds nothing else.
    let decorated = format!("{decoration}{decorated}");
    out.push_str(&decorated.replace(
        &format!("{decoration}{newline}"),
        &format!("{bare}{newline}"),
    ));
    out.push_str(&format!("{newline}{postfix}").repeat(postfix_count));
    if !end.is_empty() {
        out.push_str(&format!("{newline}{end}"));
    }
    Ok(out)
}

fn truncate(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let number = |value: Option<Value>, default: usize| {
        value.and_then(|value| value.as_usize()).unwrap_or(default)
    };
    let length = number(argument(0, "length")?, 255);
    let kill_words = argument(1, "killwords")?.is_some_and(|value| value.is_true());
    let end = argument(2, "end")?.map_or_else(|| "...".to_owned(), |value| python::text(&value));
    let leeway = number(argument(3, "leeway")?, 5);
    kwargs.assert_all_used()?;
    let text = python::text(value);
    if text.chars().count() <= length + leeway {
        return Ok(text);
    }
    let kept = length.checked_sub(end.chars().count());
    let kept =
        kept.ok_or_else(|| invalid("`truncate` needs a length that leaves room for the end"))?;
    let cut: String = text.chars().take(kept).collect();
    let words = if kill_words {
        &cut
    } else {
        cut.rsplit_once(' ').map_or(&*cut, |(words, _)| words)
    };
    Ok(format!("{words}{end}"))
}

fn wordwrap(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let width = argument(0, "width")?
        .and_then(|value| value.as_usize())
        .unwrap_or(79)
        .max(1);
    let break_words = argument(1, "break_long_words")?.is_none_or(|value| value.is_true());
    let joiner =
        argument(2, "wrapstring")?.map_or_else(|| "\n".to_owned(), |value| python::text(&value));
    kwargs.assert_all_used()?;
    let text = python::text(value);
    let wrapped = text
        .lines()
        .map(|line| wrap_line(line, width, break_words).join(&joiner));
    Ok(wrapped.collect::<Vec<_>>().join(&joiner))
}

fn wrap_line(line: &str, width: usize, break_words: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for word in line.split(' ') {
        let mut word = word.to_owned();
        if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut current));
        }
        while break_words && current.is_empty() && word.chars().count() > width {
            lines.push(word.chars().take(width).collect());
            word = word.chars().skip(width).collect();
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(&word);
    }
    lines.push(current);
    lines
}

fn split(state: &mut minijinja::State, value: &Value, args: Rest<Value>) -> Result<Value, Error> {
    value.call_method(state, "split", &args)
}
