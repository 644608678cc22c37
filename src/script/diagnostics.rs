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
use crate::template::TemplateError;

/// One thing that is wrong with a script.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
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
        Self(Box::new(Parts {
            code,
            message: message.into(),
            help: None,
            labels: Vec::new(),
            text: None,
            site: None,
        }))
    }

    /// What is wrong with a template, shown in its text.
    pub fn of_template(error: &TemplateError) -> Self {
        Self(Box::new(Parts {
            code: "template",
            message: error.to_string(),
            help: error.help().map(|help| help.to_string()),
            labels: error.labels().into_iter().flatten().collect(),
            text: Some(NamedSource::new(
                error.template(),
                Arc::new(error.text().to_owned()),
            )),
            site: error.line().map(|line| Site {
                file: error.template().into(),
                line,
                column: 1,
            }),
        }))
    }

    /// Says where in which file, with words beside the underlined text.
    pub fn at(mut self, source: &Source, span: SourceSpan, label: impl Into<String>) -> Self {
        let (line, column) = source.line_and_column(span.offset());
        self.0.site = Some(Site {
            file: source.id().into(),
            line,
            column,
        });
        self.0.text = Some(NamedSource::new(source.id(), source.shared_text()));
        self.0.labels.insert(
            0,
            LabeledSpan::new_primary_with_span(Some(label.into()), span),
        );
        self
    }

    /// Underlines another part of the same file.
    pub fn also(mut self, span: SourceSpan, label: impl Into<String>) -> Self {
        self.0
            .labels
            .push(LabeledSpan::new_with_span(Some(label.into()), span));
        self
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// The kind of problem, such as `unknown_argument`.
    pub fn kind(&self) -> &'static str {
        self.0.code
    }

    /// Where it is, if it is in a file.
    pub fn site(&self) -> Option<&Site> {
        self.0.site.as_ref()
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
            Err(fmt::Error) => self.0.message.clone(),
        }
    }
}

/// The env file's problems first, then file by file, each from top to bottom
/// and none twice.
pub(super) fn sorted(mut problems: Vec<Problem>, main: &str) -> Vec<Problem> {
    let place = |problem: &Problem| {
        let site = problem.0.site.as_ref();
        let key = site.map(|site| (site.file != main, site.file.clone(), site.line, site.column));
        (key, problem.0.message.clone())
    };
    problems.sort_by_cached_key(place);
    problems.dedup_by_key(|problem| place(problem));
    problems
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(format!("veza::{}", self.0.code)))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0
            .help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.text.as_ref().map(|text| text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match self.0.labels.is_empty() {
            true => None,
            false => Some(Box::new(self.0.labels.iter().cloned())),
        }
    }
}
