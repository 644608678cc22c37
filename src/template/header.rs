//! The settings of one template: Ansible's defaults, and what a first line
//! such as `#jinja2: lstrip_blocks: True, trim_blocks: False` changes.

use minijinja::syntax::SyntaxConfig;

const PREFIX: &str = "#jinja2:";

/// The marks that open and close tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delimiters {
    /// Opens a statement.
    pub block_start: String,
    /// Closes a statement.
    pub block_end: String,
    /// Opens an expression.
    pub variable_start: String,
    /// Closes an expression.
    pub variable_end: String,
    /// Opens a comment.
    pub comment_start: String,
    /// Closes a comment.
    pub comment_end: String,
}

impl Default for Delimiters {
    fn default() -> Self {
        Delimiters {
            block_start: "{%".into(),
            block_end: "%}".into(),
            variable_start: "{{".into(),
            variable_end: "}}".into(),
            comment_start: "{#".into(),
            comment_end: "#}".into(),
        }
    }
}

/// How a template is read and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The marks of its tags.
    pub delimiters: Delimiters,
    /// Opens a statement that is a whole line.
    pub line_statement: Option<String>,
    /// Opens a comment up to the end of the line.
    pub line_comment: Option<String>,
    /// Drops the newline after a block.
    pub trim_blocks: bool,
    /// Drops the blanks before a block.
    pub lstrip_blocks: bool,
    /// What ends a line of the result.
    pub newline: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            delimiters: Delimiters::default(),
            line_statement: None,
            line_comment: None,
            trim_blocks: true,
            lstrip_blocks: false,
            newline: "\n".into(),
        }
    }
}

impl Settings {
    /// The settings of `text` and the length of its override line, the newline
    /// included; 0 when it has none. The error says what is wrong with it.
    pub fn read(text: &str) -> Result<(Settings, usize), String> {
        let mut settings = Settings::default();
        let Some(after) = text.strip_prefix(PREFIX) else {
            return Ok((settings, 0));
        };
        let Some((line, _)) = after.split_once('\n') else {
            return Err("a newline must follow the `#jinja2:` line".into());
        };
        for pair in line.trim_end_matches('\r').split(',') {
            let Some((key, value)) = pair.split_once(':') else {
                return Err(format!("`{}` is not `key: value`", pair.trim()));
            };
            settings.set(key.trim(), value.trim())?;
        }
        Ok((settings, PREFIX.len() + line.len() + 1))
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let delimiters = &mut self.delimiters;
        match key {
            "block_start_string" => delimiters.block_start = text(key, value)?,
            "block_end_string" => delimiters.block_end = text(key, value)?,
            "variable_start_string" => delimiters.variable_start = text(key, value)?,
            "variable_end_string" => delimiters.variable_end = text(key, value)?,
            "comment_start_string" => delimiters.comment_start = text(key, value)?,
            "comment_end_string" => delimiters.comment_end = text(key, value)?,
            "line_statement_prefix" => self.line_statement = optional_text(key, value)?,
            "line_comment_prefix" => self.line_comment = optional_text(key, value)?,
            "trim_blocks" => self.trim_blocks = truth(key, value)?,
            "lstrip_blocks" => self.lstrip_blocks = truth(key, value)?,
            "newline_sequence" => self.newline = newline(key, value)?,
            // The newlines at the end are kept either way.
            "keep_trailing_newline" => drop(truth(key, value)?),
            _ => return Err(format!("`{key}` is not a setting of templates")),
        }
        Ok(())
    }

    /// The same settings for minijinja; the error is that of marks which
    /// cannot be told apart.
    pub fn syntax(&self) -> Result<SyntaxConfig, minijinja::Error> {
        let marks = self.delimiters.clone();
        let mut builder = SyntaxConfig::builder();
        builder
            .block_delimiters(marks.block_start, marks.block_end)
            .variable_delimiters(marks.variable_start, marks.variable_end)
            .comment_delimiters(marks.comment_start, marks.comment_end)
            .trim_blocks(self.trim_blocks)
            .lstrip_blocks(self.lstrip_blocks);
        if let Some(prefix) = &self.line_statement {
            builder.line_statement_prefix(prefix.clone());
        }
        if let Some(prefix) = &self.line_comment {
            builder.line_comment_prefix(prefix.clone());
        }
        builder.build()
    }
}

fn truth(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "True" => Ok(true),
        "False" => Ok(false),
        _ => Err(format!("`{key}` must be True or False")),
    }
}

fn text(key: &str, value: &str) -> Result<String, String> {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    match inner('"').or_else(|| inner('\'')) {
        Some(inner) if !inner.is_empty() => Ok(inner.to_owned()),
        _ => Err(format!("`{key}` must be a quoted text")),
    }
}

fn optional_text(key: &str, value: &str) -> Result<Option<String>, String> {
    if value == "None" {
        return Ok(None);
    }
    text(key, value).map(Some)
}

fn newline(key: &str, value: &str) -> Result<String, String> {
    match text(key, value)?.as_str() {
        r"\n" => Ok("\n".into()),
        r"\r\n" => Ok("\r\n".into()),
        r"\r" => Ok("\r".into()),
        _ => Err(format!(r#"`{key}` must be "\n", "\r\n" or "\r""#)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_changes_settings() {
        let text = "#jinja2: lstrip_blocks: True, variable_start_string: '[['\nx";
        let (settings, length) = Settings::read(text).unwrap();
        assert!(settings.lstrip_blocks && settings.trim_blocks);
        assert_eq!(settings.delimiters.variable_start, "[[");
        assert_eq!(&text[length..], "x");
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        let error = Settings::read("#jinja2: trim_block: True\n").unwrap_err();
        assert_eq!(error, "`trim_block` is not a setting of templates");
    }
}
