//! Just enough of a shell to follow a maintainer script through a first
//! installation, or a purge: variables, and the conditions that tell an installation from
//! an upgrade. Where a condition is not known, both branches are followed.

use std::collections::HashMap;

/// A command of a script.
#[derive(Debug, PartialEq)]
pub struct Call {
    /// The program and its arguments, variables filled in as far as known.
    pub words: Vec<String>,
    /// Whether its output goes into a file.
    pub writes: bool,
    /// Whether it is certain that it runs.
    pub certain: bool,
}

/// The commands that run when the script is called with `action` as its only
/// argument; `exists` tells which paths are there then.
pub fn commands(script: &str, action: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Call> {
    let arguments = [("1", action), ("2", "")];
    let mut reader = Reader {
        variables: arguments
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        frames: Vec::new(),
        condition: None,
        last: Truth::Maybe,
        calls: Vec::new(),
        exists,
    };
    let script = script.replace("\\\n", " ");
    let lines: Vec<&str> = script.lines().map(str::trim).collect();
    reader.lines(&lines);
    reader.calls
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Truth {
    Yes,
    No,
    Maybe,
}

impl Truth {
    fn of(value: bool) -> Self {
        if value { Self::Yes } else { Self::No }
    }

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Maybe,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

/// What stands between two commands of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Then,
    And,
    Or,
}

/// An open `if` or `case`.
struct Frame {
    /// Whether the branch that is being read runs.
    runs: Truth,
    /// Whether an earlier branch ran.
    done: Truth,
    /// The word that a `case` compares.
    word: Option<String>,
}

struct Reader<'a> {
    exists: &'a dyn Fn(&str) -> bool,
    variables: HashMap<String, String>,
    frames: Vec<Frame>,
    /// What is known so far of the condition that is being read.
    condition: Option<Truth>,
    /// Whether the command before succeeded.
    last: Truth,
    calls: Vec<Call>,
}

impl Reader<'_> {
    fn lines(&mut self, lines: &[&str]) {
        let mut index = 0;
        while let Some(line) = lines.get(index) {
            index += 1;
            let Some((name, words)) = self.loop_head(line) else {
                self.line(line);
                continue;
            };
            let body = &lines[index..];
            let length = body_length(body);
            index += length + 1;
            for word in words {
                self.variables.insert(name.to_owned(), word);
                self.lines(&body[..length]);
            }
        }
    }

    /// The variable and the words of `for NAME in WORDS; do`, if they are
    /// known.
    fn loop_head<'l>(&self, line: &'l str) -> Option<(&'l str, Vec<String>)> {
        let (name, words) = line.strip_prefix("for ")?.split_once(" in ")?;
        let words = fill(words.strip_suffix("; do")?, &self.variables);
        let known = !words.contains(['$', '`', '*']);
        let words = shell_words::split(&words).ok()?;
        known.then_some((name.trim(), words))
    }

    fn line(&mut self, line: &str) {
        if line.starts_with('#') {
            return;
        }
        if let Some(word) = line
            .strip_prefix("case ")
            .and_then(|line| line.strip_suffix(" in"))
        {
            let word = fill(word.trim().trim_matches('"'), &self.variables);
            self.frames.push(Frame {
                runs: Truth::No,
                done: Truth::No,
                word: Some(word),
            });
            return;
        }
        let line = match self.label(line) {
            Some(rest) => rest,
            None => line,
        };
        for (operator, part) in split(line) {
            if let Ok(words) = shell_words::split(&part) {
                self.part(operator, words);
            }
        }
    }

    /// Reads the `a|b)` of a `case`, and gives back what follows it.
    fn label<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        let frame = self.frames.last_mut()?;
        let word = frame.word.as_ref()?;
        let (patterns, rest) = line.split_once(')')?;
        if patterns.contains(['(', '$', '='])
            || patterns.trim().contains(' ') && !patterns.contains('|')
        {
            return None;
        }
        let mut patterns = patterns.split('|').map(str::trim);
        let matches = match word.contains('$') {
            true => Truth::Maybe,
            false => Truth::of(patterns.any(|pattern| pattern == "*" || pattern == word)),
        };
        frame.runs = frame.done.not().and(matches);
        frame.done = frame.done.or(matches);
        Some(rest)
    }

    fn part(&mut self, operator: Operator, words: Vec<String>) {
        let mut words = &words[..];
        while let Some((keyword, rest)) = words.split_first() {
            match keyword.as_str() {
                "if" => self.open(),
                "elif" => self.next_branch(true),
                "else" => self.next_branch(false),
                "then" => self.close_condition(),
                "fi" | "esac" => drop(self.frames.pop()),
                "do" | "{" | "}" => {}
                _ => break,
            }
            words = rest;
        }
        if !words.is_empty() {
            self.command(operator, words);
        }
    }

    fn open(&mut self) {
        self.condition = Some(Truth::Maybe);
        self.frames.push(Frame {
            runs: Truth::Maybe,
            done: Truth::No,
            word: None,
        });
    }

    fn next_branch(&mut self, conditional: bool) {
        self.condition = conditional.then_some(Truth::Maybe);
        if let Some(frame) = self.frames.last_mut() {
            frame.runs = frame.done.not();
        }
    }

    fn close_condition(&mut self) {
        let condition = self.condition.take().unwrap_or(Truth::Maybe);
        if let Some(frame) = self.frames.last_mut() {
            frame.runs = frame.done.not().and(condition);
            frame.done = frame.done.or(condition);
        }
    }

    fn command(&mut self, operator: Operator, words: &[String]) {
        let runs = self.frames.iter().all(|frame| frame.runs != Truth::No);
        let skipped = match operator {
            Operator::Then => false,
            Operator::And => self.last == Truth::No,
            Operator::Or => self.last == Truth::Yes,
        };
        let filled = words.iter().map(|word| fill(word, &self.variables));
        let mut call = call(filled.collect());
        let truth = truth(&call.words, self.exists);
        // A function has arguments of its own.
        if call.words.first().is_some_and(|word| word.ends_with("()")) {
            self.variables.remove("1");
            self.variables.remove("2");
        }
        call.certain = self.frames.iter().all(|frame| frame.runs == Truth::Yes)
            && (operator == Operator::Then || self.last != Truth::Maybe);
        self.last = match operator {
            Operator::Then => truth,
            Operator::And => self.last.and(truth),
            Operator::Or => self.last.or(truth),
        };
        if let Some(condition) = &mut self.condition {
            *condition = self.last;
        }
        if runs && !skipped && !self.assign(&call.words) && !call.words.is_empty() {
            self.calls.push(call);
        }
    }

    fn assign(&mut self, words: &[String]) -> bool {
        let [assignment] = words else {
            return false;
        };
        match assignment.split_once('=') {
            Some((name, value)) if is_name(name) => {
                self.variables.insert(name.to_owned(), value.to_owned());
                true
            }
            _ => false,
        }
    }
}

/// The number of lines before the `done` that ends a loop.
fn body_length(lines: &[&str]) -> usize {
    let mut depth = 0;
    for (index, line) in lines.iter().enumerate() {
        match line.split([' ', ';']).next() {
            Some("for" | "while" | "until") => depth += 1,
            Some("done") if depth == 0 => return index,
            Some("done") => depth -= 1,
            _ => {}
        }
    }
    lines.len()
}

/// Whether a command succeeds, on a first installation.
fn truth(words: &[String], exists: &dyn Fn(&str) -> bool) -> Truth {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words.iter().any(|word| word.contains(['$', '`'])) {
        return Truth::Maybe;
    }
    match &words[..] {
        ["!", rest @ ..] => {
            let rest: Vec<String> = rest.iter().map(|&word| word.to_owned()).collect();
            truth(&rest, exists).not()
        }
        ["[", test @ .., "]"] | ["test", test @ ..] => match test {
            [
                "!",
                "-e" | "-f" | "-d" | "-x" | "-r" | "-s" | "-L" | "-h",
                path,
            ] => Truth::of(!exists(path)),
            ["-e" | "-f" | "-d" | "-x" | "-r" | "-s" | "-L" | "-h", path] => {
                Truth::of(exists(path))
            }
            ["-n", text] => Truth::of(!text.is_empty()),
            ["-z", text] => Truth::of(text.is_empty()),
            [one, "=", other] => Truth::of(one == other),
            [one, "!=", other] => Truth::of(one != other),
            _ => Truth::Maybe,
        },
        // No version comes before every version (dpkg(1)).
        ["dpkg", "--compare-versions", "", relation, _] => {
            Truth::of(matches!(*relation, "lt" | "le" | "ne" | "gt-nl" | "ge-nl"))
        }
        ["deb-systemd-helper", "debian-installed", ..] => Truth::No,
        ["command", "-v", program] | ["which", program] => Truth::of(
            ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
                .iter()
                .any(|directory| exists(&format!("{directory}/{program}"))),
        ),
        ["dpkg-statoverride", "--list", ..] => Truth::No,
        ["deb-systemd-helper", "--quiet", "was-enabled", ..] => Truth::Yes,
        ["true"] => Truth::Yes,
        ["false"] => Truth::No,
        _ => Truth::Maybe,
    }
}

/// Splits a line at `;`, `&&`, `||` and `|`, but not inside quotes.
fn split(line: &str) -> Vec<(Operator, String)> {
    let mut parts = vec![(Operator::Then, String::new())];
    let mut quote = None;
    let mut letters = line.chars().peekable();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (_, Some(open)) if open == letter => quote = None,
            ('#', None) if before == ' ' => break,
            ('&', None) if before == '>' => {}
            (';' | '&' | '|', None) => {
                let doubled = letters.next_if_eq(&letter).is_some();
                let operator = match (letter, doubled) {
                    ('&', true) => Operator::And,
                    ('|', true) => Operator::Or,
                    _ => Operator::Then,
                };
                parts.push((operator, String::new()));
                before = ' ';
                continue;
            }
            _ => {}
        }
        before = letter;
        if let Some((_, part)) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts
}

/// Takes the redirections out of a command's words.
fn call(words: Vec<String>) -> Call {
    let mut call = Call {
        words: Vec::new(),
        writes: false,
        certain: false,
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some((stream, target)) = word.split_once('>') else {
            call.words.push(word);
            continue;
        };
        if !stream.chars().all(|letter| letter.is_ascii_digit()) {
            call.words.push(word);
            continue;
        }
        let target = match target.trim_start_matches('>') {
            "" => words.next().unwrap_or_default(),
            target => target.to_owned(),
        };
        call.writes |= target != "/dev/null" && !target.starts_with('&');
    }
    call
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Fills in `$NAME`, `${NAME}` and `${NAME:-default}`, as far as they are
/// known.
fn fill(word: &str, variables: &HashMap<String, String>) -> String {
    let mut filled = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        let (reference, remaining) = reference(after);
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (reference, None),
        };
        match variables.get(name).cloned().or(default) {
            Some(value) => filled.push_str(&value),
            None => filled.push_str(&format!("${{{reference}}}")),
        }
        rest = remaining;
    }
    filled + rest
}

fn reference(after: &str) -> (&str, &str) {
    if let Some((inside, rest)) = after
        .strip_prefix('{')
        .and_then(|after| after.split_once('}'))
    {
        return (inside, rest);
    }
    let end = after
        .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .unwrap_or(after.len());
    after.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(script: &str) -> Vec<String> {
        commands(script, "configure", &|path| path.starts_with("/there"))
            .iter()
            .map(|call| call.words.join(" "))
            .collect()
    }

    #[test]
    fn commands_are_found_with_their_variables_filled_in() {
        let script = r#"#!/bin/sh
USER=${GIVEN:-web}
# adduser nobody
adduser --home "/var/lib/$USER" \
        --gecos "a; b" $USER >/dev/null 2>&1 || true
chown "$UNKNOWN" /x
echo text > /etc/web.conf
"#;
        let calls = commands(script, "configure", &|_| false);
        let lines: Vec<String> = calls.iter().map(|call| call.words.join(" ")).collect();
        assert_eq!(
            lines,
            [
                "adduser --home /var/lib/web --gecos a; b web",
                "true",
                "chown ${UNKNOWN} /x",
                "echo text",
            ]
        );
        let writes: Vec<bool> = calls.iter().map(|call| call.writes).collect();
        assert_eq!(writes, [false, false, false, true]);
    }

    #[test]
    fn what_depends_on_the_unknown_is_not_certain() {
        let script = "sure\nif getent passwd web; then\nunsure\nfi\n[ -e /there ] && sure\n";
        let calls = commands(script, "configure", &|path| path == "/there");
        let certain = |name: &str| {
            let mut named = calls.iter().filter(|call| call.words[0] == name);
            named.all(|call| call.certain)
        };
        assert!(certain("sure"));
        assert!(!certain("unsure"));
    }

    #[test]
    fn what_an_upgrade_alone_does_is_left_out() {
        let script = r#"
case "$1" in
    configure|reconfigure)
        if [ -n "$2" ] && dpkg --compare-versions "$2" lt 1.0; then
            upgrade-it
        else
            first-time
        fi
        [ -z "$2" ] || not-first
    ;;
    *)
        other-argument
    ;;
esac
if [ "$1" = "configure" ] || [ "$1" = "abort-upgrade" ] ; then
    if deb-systemd-helper debian-installed 'a.service'; then
        deb-systemd-helper enable 'a.service'
    fi
    if getent passwd web
    then
        perhaps
    fi
    if [ ! -d /there ] && [ -x /nowhere ]; then
        never
    fi
fi
for file in /a /b; do
    touch "$file"
done
"#;
        let known = lines(script);
        let ran: Vec<&str> = known
            .iter()
            .map(String::as_str)
            .filter(|line| !line.starts_with('['))
            .collect();
        assert_eq!(
            ran,
            [
                "first-time",
                "deb-systemd-helper debian-installed a.service",
                "getent passwd web",
                "perhaps",
                "touch /a",
                "touch /b",
            ]
        );
    }
}
