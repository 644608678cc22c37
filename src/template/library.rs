//! The templates of one rendering: the main one and those it includes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::header::Settings;
use super::rewrite::rewrite;
use super::rewritten::Rewritten;
use super::{Source, TemplateError};

/// The name of the main template inside minijinja.
pub const MAIN: &str = "<main>";

/// A template made ready for minijinja.
#[derive(Debug)]
pub struct Prepared {
    /// The name that errors show.
    pub name: String,
    /// How it is read.
    pub settings: Settings,
    /// The text with uniform newlines, which errors show.
    pub shown: String,
    /// The length of the override line, which is not rendered.
    header: usize,
    /// What minijinja compiles.
    pub rewritten: Rewritten,
}

impl Prepared {
    /// A place in what minijinja compiled as a place in what errors show.
    pub fn original(&self, range: Range<usize>) -> Range<usize> {
        self.shown_range(&self.rewritten.original(range))
    }

    /// A place in the body as a place in what errors show.
    pub fn shown_range(&self, range: &Range<usize>) -> Range<usize> {
        range.start + self.header..range.end + self.header
    }

    /// Jinja drops the last newline of a template; Ansible appends again what
    /// the result has fewer of than the template.
    pub fn restore_newlines(&self, mut rendered: String) -> String {
        let count = |text: &str| text.bytes().rev().take_while(|b| *b == b'\n').count();
        let missing = count(&self.shown).saturating_sub(count(&rendered));
        rendered.push_str(&self.settings.newline.repeat(missing));
        rendered
    }
}

/// The template that is rendered and those it includes.
pub struct Library {
    main: Prepared,
    others: BTreeMap<String, Prepared>,
    tried: BTreeSet<String>,
}

impl Library {
    /// `source` alone; an error when its first line sets nonsense.
    pub fn new(source: &Source) -> Result<Library, TemplateError> {
        let shown = uniform_newlines(&source.text, "\n");
        let read = Settings::read(&shown);
        let (settings, header, problem) = match read {
            Ok((settings, header)) => (settings, header, None),
            Err(problem) => (Settings::default(), 0, Some(problem)),
        };
        let main = prepare(&source.name, shown, settings, header);
        if let Some(problem) = problem {
            let line = 0..main.shown.lines().next().map_or(0, str::len);
            return Err(TemplateError::new(
                &main,
                format!("In the `#jinja2:` line, {problem}"),
                Some(line),
            ));
        }
        Ok(Library {
            main,
            others: BTreeMap::new(),
            tried: BTreeSet::new(),
        })
    }

    /// The template that is rendered.
    pub fn main(&self) -> &Prepared {
        &self.main
    }

    /// The template that minijinja knows by `key`.
    pub fn get(&self, key: &str) -> &Prepared {
        self.others.get(key).unwrap_or(&self.main)
    }

    /// The texts for minijinja by their keys.
    pub fn texts(&self) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::from([(MAIN.to_owned(), self.main.rewritten.text.clone())]);
        for (name, prepared) in &self.others {
            texts.insert(name.clone(), prepared.rewritten.text.clone());
        }
        texts
    }

    /// Adds what can be found of the names written in the templates.
    pub fn add_constant_names(&mut self, find: &dyn Fn(&str) -> Option<Source>) {
        loop {
            let all = self.others.values().chain([&self.main]);
            let names = all.flat_map(|prepared| &prepared.rewritten.includes);
            let names = names.map(|mention| mention.name.clone()).collect();
            if !self.add_all(names, find) {
                return;
            }
        }
    }

    /// Adds the templates of `names` that can be found and were not looked
    /// for before; false when that is none.
    pub fn add_all(
        &mut self,
        names: BTreeSet<String>,
        find: &dyn Fn(&str) -> Option<Source>,
    ) -> bool {
        let mut found = false;
        for name in names {
            if !self.tried.insert(name.clone()) {
                continue;
            }
            let Some(source) = find(&name) else {
                continue;
            };
            let shown = uniform_newlines(&source.text, "\n");
            let prepared = prepare(&source.name, shown, self.main.settings.clone(), 0);
            self.others.insert(name, prepared);
            found = true;
        }
        found
    }
}

fn prepare(name: &str, shown: String, settings: Settings, header: usize) -> Prepared {
    let body = uniform_newlines(&shown[header..], &settings.newline);
    let rewritten = rewrite(&body, &settings.delimiters);
    Prepared {
        name: name.to_owned(),
        settings,
        shown,
        header,
        rewritten,
    }
}

fn uniform_newlines(text: &str, newline: &str) -> String {
    let unix = text.replace("\r\n", "\n").replace('\r', "\n");
    if newline == "\n" {
        unix
    } else {
        unix.replace('\n', newline)
    }
}
