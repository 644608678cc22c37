//! What every host is doing at this moment, for whoever shows it.

use std::collections::VecDeque;
use std::time::Instant;

use veza_agent::outcome::Verdict;

use super::event::{Event, Site};
use super::paint;

/// Lines of a running task's output that are kept.
const KEPT_LINES: usize = 100;

/// What is going on in the current play.
#[derive(Default)]
pub(super) struct Activity {
    /// The play's name.
    pub play: String,
    /// Which batch of how many, if it has any.
    pub batch: Option<(usize, usize)>,
    /// The hosts that came to its end, or left it.
    pub done: usize,
    /// Tasks that ended.
    pub tasks: usize,
    /// Tasks that changed something.
    pub changed: usize,
    /// Tasks that failed.
    pub failed: usize,
    /// How many hosts the play has.
    pub size: usize,
    /// The hosts, in the order of the play; then those that others use.
    pub hosts: Vec<HostActivity>,
}

/// What one host is doing.
#[derive(Default)]
pub(super) struct HostActivity {
    pub host: String,
    /// Tasks that ended.
    pub tasks: usize,
    /// Tasks that changed something.
    pub changed: usize,
    /// Whether it is one of the play's hosts.
    takes_part: bool,
    /// Whether the host is through with the play.
    is_done: bool,
    /// Tasks are handed over ahead of their turn; the first one runs.
    queue: VecDeque<Running>,
}

/// A task that has not ended.
pub(super) struct Running {
    /// Its module and title.
    pub label: String,
    /// When its turn came.
    pub since: Instant,
    /// The last lines of its output.
    pub lines: VecDeque<String>,
    /// Whether a reader has begun to show the output.
    pub is_shown: bool,
    module: String,
    site: Site,
    /// Output that has no end of line yet, by stream.
    partial: [String; 2],
}

impl Activity {
    /// Takes in one more event.
    pub fn observe(&mut self, event: &Event, now: Instant) {
        match event {
            Event::PlayStarted { play, hosts } => *self = Self::of(play, hosts),
            Event::BatchStarted { batch, batches, .. } => {
                self.batch = Some((*batch, *batches));
            }
            Event::TaskStarted {
                host,
                module,
                title,
                site,
            } => {
                let label = paint::line(&format!("{module} {title}")).into_owned();
                self.host(host).start(label, module, site, now);
            }
            Event::TaskOutput { host, stream, text } => self.host(host).output(stream, text),
            Event::TaskFinished {
                host,
                module,
                site,
                outcome,
                ..
            } => {
                let changed = usize::from(outcome.verdict == Verdict::Changed);
                self.tasks += 1;
                self.changed += changed;
                self.failed += usize::from(outcome.verdict == Verdict::Failed);
                let host = self.host(host);
                host.changed += changed;
                host.end(module, site, now);
            }
            Event::FailureCaught { .. } => self.failed = self.failed.saturating_sub(1),
            Event::HostLost { host, .. }
            | Event::HostFailed { host, .. }
            | Event::ScriptFailed { host, .. }
            | Event::HostInterrupted { host }
            | Event::HostBroken { host, .. }
            | Event::HostFinished { host } => self.leave(host),
            Event::PlanIncomplete { .. }
            | Event::RunStarted { .. }
            | Event::HostConnected { .. }
            | Event::Logged { .. }
            | Event::PlayFinished { .. }
            | Event::PlayStopped { .. }
            | Event::PlaySkipped { .. }
            | Event::RunInterrupted
            | Event::RunFinished { .. } => {}
        }
    }

    /// The hosts with a running task, and that task.
    pub fn running(&mut self) -> impl Iterator<Item = (&str, &mut Running)> {
        let hosts = self.hosts.iter_mut();
        hosts.filter_map(|host| Some((host.host.as_str(), host.queue.front_mut()?)))
    }

    /// One host; it is added when it was not in the play's list.
    pub fn host(&mut self, name: &str) -> &mut HostActivity {
        let at = match self.hosts.iter().position(|it| it.host == name) {
            Some(at) => at,
            None => {
                self.hosts.push(HostActivity::new(name));
                self.hosts.len() - 1
            }
        };
        &mut self.hosts[at]
    }

    fn of(play: &str, hosts: &[String]) -> Self {
        Self {
            play: play.into(),
            size: hosts.len(),
            hosts: hosts
                .iter()
                .map(|host| HostActivity::of_play(host))
                .collect(),
            ..Self::default()
        }
    }

    fn leave(&mut self, host: &str) {
        let host = self.host(host);
        host.queue.clear();
        // A lost host may be told of twice.
        if !std::mem::replace(&mut host.is_done, true) && host.takes_part {
            self.done += 1;
        }
    }
}

impl HostActivity {
    fn new(host: &str) -> Self {
        Self {
            host: host.into(),
            ..Self::default()
        }
    }

    fn of_play(host: &str) -> Self {
        Self {
            takes_part: true,
            ..Self::new(host)
        }
    }

    /// The task that runs, if one does.
    pub fn current(&mut self) -> Option<&mut Running> {
        self.queue.front_mut()
    }

    fn start(&mut self, label: String, module: &str, site: &Site, now: Instant) {
        self.queue.push_back(Running {
            label,
            since: now,
            lines: VecDeque::new(),
            is_shown: false,
            module: module.into(),
            site: site.clone(),
            partial: Default::default(),
        });
    }

    fn output(&mut self, stream: &str, text: &str) {
        if let Some(running) = self.queue.front_mut() {
            running.output(stream, text);
        }
    }

    fn end(&mut self, module: &str, site: &Site, now: Instant) {
        self.tasks += 1;
        let is_it = |it: &Running| it.module == module && it.site == *site;
        // Not every task that ends was announced, and none ends out of turn.
        let Some(at) = self.queue.iter().position(is_it) else {
            return;
        };
        self.queue.drain(..=at);
        if let Some(next) = self.queue.front_mut() {
            next.since = now;
        }
    }
}

impl Running {
    fn output(&mut self, stream: &str, text: &str) {
        let partial = &mut self.partial[usize::from(stream == "stderr")];
        partial.push_str(text);
        while let Some((line, rest)) = partial.split_once('\n') {
            // A line that redraws itself counts as it looked in the end.
            let line = line.trim_end_matches('\r');
            let line = line.rsplit('\r').next().unwrap_or_default();
            self.lines.push_back(paint::line(line).into_owned());
            *partial = rest.to_owned();
        }
        while self.lines.len() > KEPT_LINES {
            self.lines.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn current(activity: &mut Activity) -> Vec<String> {
        let running = activity.running();
        running
            .map(|(host, it)| format!("{host} {}", it.label))
            .collect()
    }

    #[test]
    fn of_tasks_handed_over_ahead_the_first_one_runs() {
        let now = Instant::now();
        let mut activity = Activity::default();
        activity.observe(&sample::play_started("p", &["web1"]), now);
        activity.observe(&sample::started("web1", "copy", "/a", 1), now);
        activity.observe(&sample::started("web1", "copy", "/b", 2), now);
        assert_eq!(current(&mut activity), ["web1 copy /a"]);
        let done = sample::outcome("/a", Verdict::Changed);
        activity.observe(&sample::task("web1", "copy", 1, done), now);
        assert_eq!(current(&mut activity), ["web1 copy /b"]);
        assert_eq!((activity.tasks, activity.changed), (1, 1));
        activity.observe(&sample::lost("web1"), now);
        activity.observe(&sample::lost("web1"), now);
        assert_eq!(current(&mut activity), [""; 0]);
        assert_eq!(activity.done, 1);
    }

    #[test]
    fn output_is_kept_by_whole_lines_as_they_looked_in_the_end() {
        let now = Instant::now();
        let mut activity = Activity::default();
        activity.observe(&sample::started("web1", "command", "x", 1), now);
        for text in ["one\ntw", "o\r\n 1%\r 99%\nrest", "\u{1b}[1m\n"] {
            activity.observe(&sample::output("web1", text), now);
        }
        let (_, running) = activity.running().next().expect("a task runs");
        assert_eq!(running.lines, ["one", "two", " 99%", "rest␛[1m"]);
    }
}
