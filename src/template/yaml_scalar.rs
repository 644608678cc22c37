//! What a YAML 1.1 scalar means, and which ways of writing one are allowed.

use std::sync::OnceLock;

use fancy_regex::Regex;
use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use super::builtins::invalid;
use super::python;

/// What a plain scalar is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// `~` and its like.
    Null,
    /// `yes`, `off` and their like.
    Bool,
    /// An integer in any base.
    Int,
    /// A float.
    Float,
    /// A date or a time.
    Timestamp,
    /// `<<` and `=`, which are reserved.
    Reserved,
    /// A text.
    Text,
}

/// What `text` is read as when it is not quoted.
pub fn meaning(text: &str) -> Meaning {
    static RULES: OnceLock<Vec<(Meaning, Regex)>> = OnceLock::new();
    let rules = RULES.get_or_init(|| {
        let rule = |(meaning, pattern): (Meaning, &str)| {
            Some((meaning, Regex::new(&format!("^(?:{pattern})\\z")).ok()?))
        };
        RULE_TEXTS.into_iter().filter_map(rule).collect()
    });
    if text.len() > 64 {
        return Meaning::Text;
    }
    let fits = |(_, regex): &&(Meaning, Regex)| regex.is_match(text).unwrap_or_default();
    rules
        .iter()
        .find(fits)
        .map_or(Meaning::Text, |(meaning, _)| *meaning)
}

const RULE_TEXTS: [(Meaning, &str); 6] = [
    (Meaning::Null, "~|null|Null|NULL|"),
    (
        Meaning::Bool,
        "yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
    ),
    (
        Meaning::Float,
        r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    ),
    (
        Meaning::Int,
        r"[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+",
    ),
    (
        Meaning::Timestamp,
        r"\d{4}-\d\d-\d\d|\d{4}-\d\d?-\d\d?(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?",
    ),
    (Meaning::Reserved, "<<|="),
];

/// Which ways of writing a text are allowed.
#[derive(Debug, Default, Clone, Copy)]
pub struct Analysis {
    /// It holds line breaks.
    pub multiline: bool,
    /// Plain inside brackets.
    pub flow_plain: bool,
    /// Plain elsewhere.
    pub block_plain: bool,
    /// In single quotes.
    pub single_quoted: bool,
}

/// Whether `c` ends a line in YAML.
pub fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank(c: Option<char>) -> bool {
    c.is_none_or(|c| c == ' ' || c == '\t' || is_break(c))
}

/// Whether libyaml writes `c` as it is; it escapes what lies above U+FFFF.
pub fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && c != '\u{feff}'
}

/// Looks at every character of `text`.
pub fn analyze(text: &str) -> Analysis {
    let chars: Vec<char> = text.chars().collect();
    let Some((first, last)) = chars.first().zip(chars.last()) else {
        return Analysis {
            block_plain: true,
            single_quoted: true,
            ..Analysis::default()
        };
    };
    let (flow_indicators, block_indicators) = indicators(text, &chars);
    let multiline = chars.iter().any(|c| is_break(*c));
    let special = chars.iter().any(|c| !is_printable(*c));
    let pair = |before: fn(char) -> bool, after: fn(char) -> bool| {
        chars
            .windows(2)
            .any(|pair| before(pair[0]) && after(pair[1]))
    };
    let is_space = |c: char| c == ' ';
    let space_break = pair(is_space, is_break);
    let break_space = pair(is_break, is_space);
    let at_edge = |c: char| c == ' ' || is_break(c);
    let plain =
        !(at_edge(*first) || at_edge(*last) || break_space || space_break || special || multiline);
    Analysis {
        multiline,
        flow_plain: plain && !flow_indicators,
        block_plain: plain && !block_indicators,
        single_quoted: !(break_space || space_break || special),
    }
}

/// Whether something in the text means something else inside brackets, and
/// elsewhere.
fn indicators(text: &str, chars: &[char]) -> (bool, bool) {
    let document = text.starts_with("---") || text.starts_with("...");
    let (mut flow, mut block) = (document, document);
    for (index, c) in chars.iter().enumerate() {
        let followed = is_blank(chars.get(index + 1).copied());
        let preceded = index == 0 || is_blank(chars.get(index - 1).copied());
        match c {
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
            | '@' | '`'
                if index == 0 =>
            {
                (flow, block) = (true, true);
            }
            '-' if index == 0 && followed => (flow, block) = (true, true),
            '?' | ':' if index == 0 => {
                flow = true;
                block |= followed;
            }
            ',' | '?' | '[' | ']' | '{' | '}' => flow = true,
            ':' => {
                flow = true;
                block |= followed;
            }
            '#' if preceded => (flow, block) = (true, true),
            _ => {}
        }
    }
    (flow, block)
}

/// `c` inside double quotes.
pub fn escaped(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' | '\\' => c,
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        c if (c as u32) <= 0xff => return format!("\\x{:02X}", c as u32),
        c if (c as u32) <= 0xffff => return format!("\\u{:04X}", c as u32),
        c => return format!("\\U{:08X}", c as u32),
    };
    format!("\\{short}")
}

/// What is neither list nor dict as YAML, before it is quoted.
pub fn scalar_text(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::String => python::text(value),
        ValueKind::None => "null".into(),
        ValueKind::Bool => if value.is_true() { "true" } else { "false" }.into(),
        ValueKind::Number => match python::number(value).as_str() {
            "inf" => ".inf".into(),
            "-inf" => "-.inf".into(),
            "nan" => ".nan".into(),
            // YAML wants a point in a float.
            number if !number.contains('.') => number.replacen('e', ".0e", 1),
            number => number.into(),
        },
        _ => {
            return Err(invalid(format!(
                "a value of type {} cannot become YAML",
                python::type_name(value)
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_read_as_yaml_1_1_reads_them() {
        for (text, expected) in [
            ("yes", Meaning::Bool),
            ("y", Meaning::Text),
            ("", Meaning::Null),
            ("0x1f", Meaning::Int),
            ("1e3", Meaning::Text),
            ("1.0e+3", Meaning::Float),
            ("12:30:45", Meaning::Int),
            ("2024-01-02", Meaning::Timestamp),
            ("=", Meaning::Reserved),
        ] {
            assert_eq!(meaning(text), expected, "{text}");
        }
    }
}
