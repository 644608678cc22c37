//! What is wrong with a script, with the text underlined: file, line, label,
//! and one way out.

use std::fmt;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
    SourceSpan,
};

use super::source::Source;
use crate::report::event::Site;

/// One thing that is wrong with a script.
#[derive(Clone, Debug)]
pub struct Problem {
    code: &'static str,
    message: String,
    help: Option<String>,
    labels: Vec<LabeledSpan>,
    text: Option<NamedSource<Arc<String>>>,
    site: Option<Site>,
}

impl Problem {
    /// A problem without a place.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            help: None,
            labels: Vec::new(),
            text: None,
            site: None,
        }
    }

    /// Says where in which file, with words beside the underlined text.
    pub fn at(mut self, source: &Source, span: SourceSpan, label: impl Into<String>) -> Self {
        let (line, column) = source.line_and_column(span.offset());
        self.site = Some(Site {
            file: source.id().into(),
            line,
            column,
        });
        self.text = Some(NamedSource::new(source.id(), source.shared_text()));
        self.labels.insert(
            0,
            LabeledSpan::new_primary_with_span(Some(label.into()), span),
        );
        self
    }

    /// Underlines another part of the same file.
    pub fn also(mut self, span: SourceSpan, label: impl Into<String>) -> Self {
        self.labels
            .push(LabeledSpan::new_with_span(Some(label.into()), span));
        self
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The kind of problem, such as `unknown_argument`.
    pub fn kind(&self) -> &'static str {
        self.code
    }

    /// Where it is, if it is in a file.
    pub fn site(&self) -> Option<&Site> {
        self.site.as_ref()
    }

    /// The problem as people read it, in plain text.
    pub fn render(&self) -> String {
        let theme = GraphicalTheme::unicode_nocolor();
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(100)
            .with_links(false);
        let mut text = String::new();
        match handler.render_report(&mut text, self) {
            Ok(()) => text,
            Err(fmt::Error) => self.message.clone(),
        }
    }
}

/// The env file's problems first, then file by file, each from top to bottom
/// and none twice.
pub(super) fn sorted(mut problems: Vec<Problem>, main: &str) -> Vec<Problem> {
    let place = |problem: &Problem| {
        let site = problem.site.as_ref();
        let key = site.map(|site| (site.file != main, site.file.clone(), site.line, site.column));
        (key, problem.message.clone())
    };
    problems.sort_by_cached_key(place);
    problems.dedup_by_key(|problem| place(problem));
    problems
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(format!("veza::{}", self.code)))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_ref().map(|text| text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match self.labels.is_empty() {
            true => None,
            false => Some(Box::new(self.labels.iter().cloned())),
        }
    }
}
