//! A crontab as lines. Jobs are known by a comment above them, which is the
//! one that Ansible writes, so what it made is taken over as it is.

use crate::module::Result;
use crate::outcome::Failure;

const MARKER: &str = "#Ansible: ";

/// What Ansible wrote above jobs that had no name.
const NAMELESS: &str = "#Ansible: None";

/// The lines of a crontab, without their ends.
pub struct Table {
    lines: Vec<String>,
}

/// Where a new variable goes.
#[derive(Clone, Copy)]
pub enum Position<'a> {
    /// Before everything else.
    Top,
    /// Below this variable.
    After(&'a str),
    /// Above this variable.
    Before(&'a str),
}

impl Table {
    /// The lines of a text, whose last one may lack its end.
    pub fn parse(text: &str) -> Self {
        let lines = text.split_terminator('\n');
        Self {
            lines: lines.map(str::to_owned).collect(),
        }
    }

    /// The text; every line has its end.
    pub fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// Whether no line says anything.
    pub fn is_blank(&self) -> bool {
        self.lines.iter().all(|line| line.trim().is_empty())
    }

    /// The names of the jobs.
    pub fn jobs(&self) -> Vec<&str> {
        let name = |line: &'_ String| line.strip_prefix(MARKER).map(str::trim_end).is_some();
        let marked = self.lines.iter().filter(|line| name(line));
        marked.map(|line| line[MARKER.len()..].trim_end()).collect()
    }

    /// The names of the variables.
    pub fn variables(&self) -> Vec<&str> {
        let names = self.lines.iter().filter_map(|line| variable(line));
        names.collect()
    }

    /// Puts a job under its name. The same line that nobody named before is
    /// taken over.
    pub fn set_job(&mut self, name: &str, job: &str) {
        let marker = format!("{MARKER}{name}");
        let places = self.places(&marker);
        if places.iter().any(|&(_, has_job)| has_job) {
            for (marker, has_job) in places.into_iter().rev() {
                match has_job {
                    true if bare(&self.lines[marker + 1]) == job => {}
                    true => self.lines[marker + 1] = job.to_owned(),
                    false => drop(self.lines.remove(marker)),
                }
            }
            return;
        }
        self.remove_job(name);
        for index in 0..self.lines.len() {
            if bare(&self.lines[index]) != job {
                continue;
            }
            match index.checked_sub(1).map(|above| bare(&self.lines[above])) {
                Some(NAMELESS) => self.lines[index - 1] = marker,
                Some(above) if above.starts_with(MARKER) => continue,
                _ => self.lines.insert(index, marker),
            }
            return;
        }
        self.lines.extend([marker, job.to_owned()]);
    }

    /// Removes a job with its name; says whether it was there.
    pub fn remove_job(&mut self, name: &str) -> bool {
        let places = self.places(&format!("{MARKER}{name}"));
        let found = !places.is_empty();
        for (marker, has_job) in places.into_iter().rev() {
            self.lines.drain(marker..=marker + usize::from(has_job));
        }
        found
    }

    /// Where a marker is, and whether a job follows: the end of the table, or
    /// another marker, is none.
    fn places(&self, marker: &str) -> Vec<(usize, bool)> {
        let is_job = |index: usize| {
            let line = self.lines.get(index);
            line.is_some_and(|line| !line.starts_with(MARKER))
        };
        let marked = |&index: &usize| bare(&self.lines[index]) == marker;
        let places = (0..self.lines.len()).filter(marked);
        places.map(|index| (index, is_job(index + 1))).collect()
    }

    /// Sets a variable; one that is there keeps its place.
    pub fn set_variable(&mut self, name: &str, value: &str, position: Position) -> Result<()> {
        let line = format!("{name}=\"{value}\"");
        let mut there = false;
        for known in &mut self.lines {
            if declares(known, name) {
                there = true;
                if bare(known) != line {
                    *known = line.clone();
                }
            }
        }
        if there {
            return Ok(());
        }
        let index = match position {
            Position::Top => 0,
            Position::After(other) => self.variable(other)? + 1,
            Position::Before(other) => self.variable(other)?,
        };
        self.lines.insert(index, line);
        Ok(())
    }

    /// Removes a variable.
    pub fn remove_variable(&mut self, name: &str) {
        self.lines.retain(|line| !declares(line, name));
    }

    fn variable(&self, name: &str) -> Result<usize> {
        let index = self.lines.iter().position(|line| declares(line, name));
        index.ok_or_else(|| Failure::new(format!("the crontab sets no variable {name}")))
    }
}

fn declares(line: &str, name: &str) -> bool {
    variable(line) == Some(name)
}

/// The name of the variable that a line sets, in quotes or not, with spaces
/// around the sign or not (crontab(5)).
fn variable(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim();
    let quoted = |quote| name.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(quoted) = quoted('"').or_else(|| quoted('\'')) {
        return Some(quoted);
    }
    let odd = name.is_empty() || name.starts_with('#') || name.contains(char::is_whitespace);
    (!odd).then_some(name)
}

/// A line without the first half of a DOS line end.
fn bare(line: &str) -> &str {
    line.strip_suffix('\r').unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_job(text: &str) -> String {
        let mut table = Table::parse(text);
        table.set_job("backup", "0 3 * * * /bin/backup");
        let once = table.text();
        table.set_job("backup", "0 3 * * * /bin/backup");
        assert_eq!(table.text(), once, "a second time");
        once
    }

    #[test]
    fn a_job_is_added_replaced_or_taken_over() {
        let job = "#Ansible: backup\n0 3 * * * /bin/backup\n";
        let cases = [
            ("", job.to_owned()),
            ("# mine\n1 * * * * x", format!("# mine\n1 * * * * x\n{job}")),
            (
                "#Ansible: backup\n9 9 * * * old\n\n# end\n\n",
                format!("{job}\n# end\n\n"),
            ),
            ("0 3 * * * /bin/backup\nA=1\n", format!("{job}A=1\n")),
            ("#Ansible: None\n0 3 * * * /bin/backup\n", job.to_owned()),
            (
                "#Ansible: other\n0 3 * * * /bin/backup\n",
                format!("#Ansible: other\n0 3 * * * /bin/backup\n{job}"),
            ),
            (
                "#Ansible: backup\n#Ansible: b\nx\n",
                format!("#Ansible: b\nx\n{job}"),
            ),
            ("a\n#Ansible: backup", format!("a\n{job}")),
        ];
        for (text, expected) in cases {
            assert_eq!(with_job(text), expected, "from {text:?}");
        }
    }

    #[test]
    fn a_job_goes_with_its_marker_and_nothing_else_does() {
        let mut table = Table::parse("# a\n#Ansible: x\n1 1 * * * x\n\r\n# b");
        assert!(table.remove_job("x"));
        assert_eq!(table.text(), "# a\n\r\n# b\n");
        assert!(!table.remove_job("x"));
    }

    #[test]
    fn variables_are_found_however_they_are_written() {
        let text = "#A=1\n MAILTO = root\n\"B\"=2\n'C D'=3\n* * * * * x=1\n=1\n";
        let mut table = Table::parse(text);
        assert_eq!(table.variables(), ["MAILTO", "B", "C D"]);
        for (name, value) in [("MAILTO", "ops"), ("B", "4")] {
            table.set_variable(name, value, Position::Top).expect("set");
        }
        table.remove_variable("C D");
        let expected = "#A=1\nMAILTO=\"ops\"\nB=\"4\"\n* * * * * x=1\n=1\n";
        assert_eq!(table.text(), expected);
    }

    #[test]
    fn variables_come_first_or_where_they_are_put() {
        let mut table = Table::parse("A=\"1\"\n0 * * * * x=1\n");
        table.set_variable("B", "2", Position::Top).expect("set");
        table
            .set_variable("C", "3", Position::After("A"))
            .expect("set");
        table
            .set_variable("D", "4", Position::Before("A"))
            .expect("set");
        table.set_variable("A", "5", Position::Top).expect("set");
        assert_eq!(
            table.text(),
            "B=\"2\"\nD=\"4\"\nA=\"5\"\nC=\"3\"\n0 * * * * x=1\n"
        );
        assert_eq!(table.variables(), ["B", "D", "A", "C"]);
        assert!(table.set_variable("E", "1", Position::After("Z")).is_err());
        table.remove_variable("A");
        assert_eq!(table.variables(), ["B", "D", "C"]);
    }
}
