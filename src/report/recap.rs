//! The end of the output for people: what changed, what failed, what was not
//! reached, one line of counts a host, and one line for all.

use veza_agent::outcome::Verdict;

use super::event::Mode;
use super::host::{Counts, HostSummary};
use super::human::View;
use super::paint;
use super::summary::{SkippedPlay, Summary};

/// Names of hosts that are listed before they are counted instead.
const NAMES: usize = 4;

/// Columns up to which a list stays on its line.
const WIDTH: usize = 100;

/// The whole end.
pub(super) fn lines(summary: &Summary, view: &View) -> Vec<String> {
    let mut lines = stories(summary, view);
    if !lines.is_empty() {
        let heading = view.paint.heading("summary").to_string();
        lines.insert(0, heading);
        lines.push(String::new());
    }
    if !summary.hosts.is_empty() {
        lines.extend(counts(summary, view));
        lines.push(String::new());
    }
    lines.push(total(summary, view));
    lines
}

/// The word for a verdict, of the future in a dry run.
pub(super) fn word(verdict: Verdict, mode: Mode) -> &'static str {
    match (verdict, mode) {
        (Verdict::Ok, _) => "ok",
        (Verdict::Changed, Mode::Apply) => "changed",
        (Verdict::Changed, Mode::Check) => "would change",
        (Verdict::Unknown, Mode::Apply) => "unknown",
        (Verdict::Unknown, Mode::Check) => "may change",
        (Verdict::Skipped, _) => "skipped",
        (Verdict::Failed, _) => "failed",
    }
}

/// Hosts by name while they are few, out of `size` in the play.
pub(super) fn names(hosts: &[String], size: usize, in_full: bool) -> String {
    let shown: Vec<_> = hosts.iter().map(|host| paint::line(host)).collect();
    if in_full || hosts.len() <= NAMES {
        return shown.join(", ");
    }
    if hosts.len() == size {
        return format!("all {size} hosts");
    }
    format!(
        "{} hosts: {}, …",
        hosts.len(),
        shown[..NAMES - 1].join(", ")
    )
}

/// A play that was not run.
pub(super) fn not_run(play: &str, hosts: &[String], reason: &str) -> String {
    let hosts = names(hosts, 0, true);
    let reason = paint::line(reason);
    format!(
        "play {} was not run on {hosts}: {reason}",
        paint::line(play)
    )
}

/// A play that stopped, and the run with it.
pub(super) fn stopped(play: &str, hosts: &[String], reason: &str) -> String {
    let play = paint::line(play);
    let reason = paint::line(reason);
    match hosts {
        [] => format!("play {play} ended the run: {reason}"),
        hosts => format!(
            "play {play} ended the run before {} began it: {reason}",
            names(hosts, 0, true)
        ),
    }
}

/// The batches of a play that began, of `all`.
pub(super) fn batches(begun: &[Vec<String>], all: usize, in_full: bool) -> String {
    let shown = match in_full || begun.len() <= NAMES {
        true => begun.len(),
        false => NAMES - 1,
    };
    let mut parts: Vec<_> = begun[..shown]
        .iter()
        .map(|hosts| names(hosts, 0, in_full))
        .collect();
    if shown < begun.len() {
        parts.push("…".into());
    }
    let count = match (begun.len(), all) {
        (1, 1) => "1 batch".to_owned(),
        (begun, all) if begun == all => format!("{all} batches"),
        (begun, all) => format!("{begun} of {all} batches"),
    };
    format!("{count}: {}", parts.join("; "))
}

/// What became of each host, equal stories together.
fn stories(summary: &Summary, view: &View) -> Vec<String> {
    let mut stories: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for host in &summary.hosts {
        let story = story(host, view);
        if story.is_empty() {
            continue;
        }
        match stories.iter_mut().find(|(_, other)| *other == story) {
            Some((hosts, _)) => hosts.push(host.host.clone()),
            None => stories.push((vec![host.host.clone()], story)),
        }
    }
    let mut lines = Vec::new();
    for (hosts, story) in stories {
        let in_full = view.settings.verbose || went_wrong(summary, &hosts);
        lines.push(names(&hosts, summary.hosts.len(), in_full));
        lines.extend(story.into_iter().map(|line| format!("  {line}")));
    }
    let skipped = summary.skipped.iter();
    lines.extend(skipped.map(
        |SkippedPlay {
             play,
             hosts,
             reason,
         }| not_run(play, hosts, reason),
    ));
    lines
}

/// Whether these hosts, which share a story, must be read by name.
fn went_wrong(summary: &Summary, hosts: &[String]) -> bool {
    let mut all = summary.hosts.iter();
    all.any(|host| hosts.contains(&host.host) && !(host.is_well() && host.incomplete.is_empty()))
}

fn story(host: &HostSummary, view: &View) -> Vec<String> {
    let paint = view.paint;
    let changed = word(Verdict::Changed, view.mode);
    let unknown = word(Verdict::Unknown, view.mode);
    let mut lines = Vec::new();
    let verdict = |verdict, label: &str| paint.verdict(verdict, label).to_string();
    push(
        &mut lines,
        verdict(Verdict::Changed, changed),
        &host.changed,
    );
    push(
        &mut lines,
        verdict(Verdict::Unknown, unknown),
        &host.unknown,
    );
    for (caller, asked) in &host.for_others {
        for (is, label, items) in [
            (Verdict::Changed, changed, &asked.changed),
            (Verdict::Unknown, unknown, &asked.unknown),
        ] {
            let label = format!("{label} for {}", paint::line(caller));
            push(&mut lines, verdict(is, &label), items);
        }
    }
    push(
        &mut lines,
        paint.failure("failed").to_string(),
        &host.failed,
    );
    let script = paint.failure("script failed").to_string();
    push(&mut lines, script, &host.script_failed);
    let incomplete = paint.caution("plan incomplete").to_string();
    push(&mut lines, incomplete, &host.incomplete);
    let lost: Vec<_> = host.lost.iter().cloned().collect();
    push(&mut lines, paint.failure("lost").to_string(), &lost);
    let broken: Vec<_> = host.broken.iter().cloned().collect();
    push(&mut lines, paint.failure("broken").to_string(), &broken);
    lines
}

/// `label: a; b`, or one line each when that would be too long to read.
fn push(lines: &mut Vec<String>, label: String, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let items: Vec<_> = items.iter().map(|item| paint::line(item)).collect();
    let joined = items.join("; ");
    if joined.chars().count() <= WIDTH {
        lines.push(format!("{label}: {joined}"));
        return;
    }
    lines.push(format!("{label}:"));
    lines.extend(items.iter().map(|item| format!("  {item}")));
}

/// The line of counts of each host, in columns.
fn counts(summary: &Summary, view: &View) -> Vec<String> {
    let verdicts = [
        (Verdict::Ok, "ok"),
        (Verdict::Changed, "changed"),
        (Verdict::Unknown, "unknown"),
        (Verdict::Skipped, "skipped"),
        (Verdict::Failed, "failed"),
    ];
    let hosts = summary.hosts.iter();
    let name_width = hosts.map(|it| it.host.chars().count()).max().unwrap_or(0);
    let widths = verdicts.map(|(verdict, _)| {
        let digits = |host: &HostSummary| host.counts.of(verdict).to_string().len();
        summary.hosts.iter().map(digits).max().unwrap_or(1)
    });
    let line = |host: &HostSummary| {
        let mut line = format!("{:<name_width$}", paint::line(&host.host));
        for ((verdict, label), width) in verdicts.into_iter().zip(widths) {
            let count = host.counts.of(verdict);
            let cell = format!("{label} {count:<width$}");
            let cell = match count {
                0 => view.paint.faint(&cell),
                _ => view.paint.verdict(verdict, &cell),
            };
            line.push_str(&format!("  {cell}"));
        }
        for note in notes(host) {
            line.push_str(&format!("  {}", view.paint.caution(&note)));
        }
        line.trim_end().to_owned()
    };
    summary.hosts.iter().map(line).collect()
}

fn notes(host: &HostSummary) -> Vec<String> {
    let caught = host.counts.caught;
    let caught = (caught > 0).then(|| format!("caught {caught}"));
    let script = (!host.script_failed.is_empty()).then(|| "script failed".into());
    let incomplete = (!host.incomplete.is_empty()).then(|| "plan incomplete".into());
    let lost = host.lost.as_ref().map(|_| "lost".into());
    let interrupted = host.interrupted.then(|| "cut off".into());
    let broken = host.broken.as_ref().map(|_| "broken".into());
    let notes = caught.into_iter().chain(script).chain(incomplete);
    notes.chain(lost).chain(interrupted).chain(broken).collect()
}

/// The last line: all hosts together, as sentences.
fn total(summary: &Summary, view: &View) -> String {
    let mut sentences = vec![changes(summary)];
    let unknown = summary.count(Verdict::Unknown);
    match summary.mode {
        _ if unknown == 0 => {}
        Mode::Check => sentences.push(format!("{} may change.", number(unknown, "other task"))),
        Mode::Apply => sentences.push(format!(
            "What {} would do is not known here.",
            number(unknown, "task")
        )),
    }
    let mut tell = |count: usize, one: &str, many: &str| match count {
        0 => {}
        1 => sentences.push(format!("1 host {one}.")),
        _ => sentences.push(format!("{count} hosts {many}.")),
    };
    let count = |test: fn(&HostSummary) -> bool| {
        let hosts = summary.hosts.iter();
        hosts.filter(|host| test(host)).count()
    };
    let failed = count(|host| !host.failed.is_empty() || !host.script_failed.is_empty());
    tell(failed, "failed", "failed");
    tell(count(|host| host.lost.is_some()), "was lost", "were lost");
    let incomplete = count(|host| !host.incomplete.is_empty());
    tell(incomplete, "has no complete plan", "have no complete plan");
    let broken = count(|host| host.broken.is_some());
    tell(broken, "broke veza-play", "broke veza-play");
    let cut_off = count(|host| host.interrupted);
    tell(cut_off, "was cut off", "were cut off");
    if summary.interrupted {
        sentences.push("The run was interrupted.".into());
    }
    if !summary.finished {
        sentences.push("The run broke off before its end.".into());
    } else if view.settings.show_time {
        sentences.push(format!("Took {}.", duration(summary.milliseconds)));
    }
    sentences.join(" ")
}

fn changes(summary: &Summary) -> String {
    let changed = summary.count(Verdict::Changed);
    if changed > 0 {
        let hosts = summary.hosts.iter();
        let on = hosts.filter(|host| host.counts.changed > 0).count();
        let start = match summary.mode {
            Mode::Apply => "Done",
            Mode::Check => "Plan",
        };
        return format!(
            "{start}: {} on {}.",
            number(changed, "change"),
            number(on, "host")
        );
    }
    if summary.hosts.is_empty() {
        return "No host took part: the patterns of the plays select none.".into();
    }
    let sure = |host: &HostSummary| {
        host.is_well() && host.incomplete.is_empty() && host.counts.unknown == 0
    };
    let half_done = summary.hosts.iter().map(|host| host.half_done).sum();
    if half_done > 0 {
        let verb = match summary.mode {
            Mode::Apply => "made",
            Mode::Check => "found",
        };
        let tasks = number(half_done, "task");
        return format!("Changes were {verb}, by {tasks} that then failed.");
    }
    let all_sure = summary.finished && !summary.interrupted && summary.skipped.is_empty();
    let nothing_ran = |host: &HostSummary| host.counts == Counts::default();
    match all_sure && summary.hosts.iter().all(sure) {
        // Whatever --tags leaves out was not looked at.
        true if summary.hosts.iter().all(nothing_ran) => {
            "No task ran: there was none, or the tags leave all of them out.".into()
        }
        true => "No changes. The hosts are as the scripts ask.".into(),
        // Of what was not looked at, nothing may be claimed.
        false if summary.mode == Mode::Check => "No changes were found.".into(),
        false => "No changes were made.".into(),
    }
}

/// `1 host`, `2 hosts`.
pub(super) fn number(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// A time for people: `340 ms`, `1.2 s`, `2 min 5 s`.
pub(super) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        1000..60_000 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        _ => {
            let seconds = milliseconds / 1000;
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_hosts_are_counted_unless_they_are_to_be_read() {
        let hosts: Vec<_> = (1..=6).map(|n| format!("web{n}")).collect();
        assert_eq!(names(&hosts[..2], 6, false), "web1, web2");
        assert_eq!(names(&hosts[..5], 6, false), "5 hosts: web1, web2, web3, …");
        assert_eq!(names(&hosts, 6, false), "all 6 hosts");
        assert_eq!(names(&hosts[..5], 6, true), "web1, web2, web3, web4, web5");
    }

    #[test]
    fn what_failed_half_way_is_not_called_no_change() {
        use veza_agent::effect::Effect;
        use veza_agent::outcome::Failure;

        use super::super::sample;
        let mut outcome = sample::failed("POST http://x/", Failure::new("it answers 500"));
        let host = |outcome| {
            let mut summary = Summary::default();
            summary.observe(&sample::task("web1", "uri", 1, outcome));
            changes(&summary)
        };
        assert_eq!(host(outcome.clone()), "No changes were made.");
        let path = "/x".into();
        outcome.effects = vec![sample::effect(Effect::Touch { path })];
        let said = "Changes were made, by 1 task that then failed.";
        assert_eq!(host(outcome), said);
    }

    #[test]
    fn durations_use_the_unit_one_would_say() {
        let shown = [0, 999, 1240, 125_300].map(duration);
        assert_eq!(shown, ["0 ms", "999 ms", "1.2 s", "2 min 5 s"]);
    }
}
