//! Parameters of the kernel: at boot through a file, and now.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::edited::{Edited, bare, lines};
use crate::effect::Effect;
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Attribute, Diff, State};
use crate::system::{Found, KernelParameter, System};

/// Keeps a parameter of the kernel: in a file that is read at boot, and in the
/// running kernel.
///
/// ```rhai
/// sysctl("net.core.somaxconn", 1024);
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct Sysctl {
    /// Its name, with dots or slashes.
    #[schemars(extend("x-alias" = ["key"]))]
    name: String,
    /// Its value, a text or a number.
    #[schemars(extend("x-alias" = ["val"]))]
    value: Option<Value>,
    /// Whether the file has it.
    #[serde(default)]
    state: SysctlState,
    /// The file.
    #[serde(default = "file")]
    #[schemars(extend("x-kind" = "path"))]
    sysctl_file: PathBuf,
    /// Whether the running kernel gets the value too.
    #[serde(default = "super::arguments::yes")]
    #[schemars(extend("x-alias" = ["sysctl_set", "reload"]))]
    live: bool,
    /// Whether it is no failure if the kernel does not have the parameter, or
    /// does not let it be set, as in a container: then only the file is kept.
    #[serde(default)]
    #[schemars(extend("x-alias" = ["ignoreerrors"]))]
    ignore: bool,
}

/// Whether a parameter is in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SysctlState {
    /// It is, with its value.
    #[default]
    Present,
    /// It is not; the running kernel keeps what it has.
    Absent,
}

fn file() -> PathBuf {
    "/etc/sysctl.d/99-veza.conf".into()
}

const VALUE: &str = "value";

/// Whether the running kernel lets the parameter be set.
const SETTABLE: &str = "settable";

impl Module for Sysctl {
    const NAME: &'static str = "sysctl";
    const POSITIONAL: &'static [&'static str] = &["name", "value"];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        let mut state = self.file().found(system)?;
        if !self.is_live() {
            return Ok(state);
        }
        let parameter = system.kernel_parameter(&self.name)?;
        let settable = match &parameter {
            Found::Absent => false,
            Found::Present(parameter) => parameter.writable,
            Found::Unknown(_) => true,
        };
        state.set(SETTABLE, settable);
        match parameter {
            Found::Absent => state.set(VALUE, Value::Null),
            Found::Present(parameter) => state.set(VALUE, spaced(&parameter.value)),
            Found::Unknown(origin) => state.set_unknown(VALUE, origin),
        }
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        let line = self.line()?;
        let mut wanted = self.file().wanted(found, |text| match (&line, text) {
            (None, None) => Ok(None),
            (line, text) => Ok(Some(self.edited(text.unwrap_or_default(), line.as_deref()))),
        })?;
        if !self.is_live() {
            return Ok(wanted);
        }
        let value = self.value()?;
        let settable = found.value(SETTABLE) == Some(&Value::Bool(true));
        match found.get(VALUE) {
            Some(Attribute::Value(Value::Null)) if !self.ignore => {
                return Err(KernelParameter::missing(&self.name));
            }
            Some(Attribute::Value(known)) if !self.ignore && !settable && *known != value => {
                return Err(KernelParameter::refused(&self.name));
            }
            _ if self.ignore && !settable => {}
            _ => wanted.set(VALUE, value),
        }
        Ok(wanted)
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        // What the kernel refuses should not be found in the file.
        if diff.has(VALUE) {
            let (name, value) = (self.name.clone(), self.value()?);
            system.perform(Effect::SetKernelParameter { name, value })?;
        }
        let found = self.found(system)?;
        let wanted = self.wanted(&found)?;
        match diff.has_other_than(VALUE) {
            true => self.file().fix(diff, &wanted, system),
            false => Ok(()),
        }
    }
}

impl Sysctl {
    fn is_live(&self) -> bool {
        self.live && self.state == SysctlState::Present
    }

    fn file(&self) -> Edited {
        Edited::at(self.sysctl_file.clone())
    }

    fn value(&self) -> Result<String> {
        let value = match &self.value {
            Some(Value::String(text)) => spaced(text),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(flag)) => u8::from(*flag).to_string(),
            _ => String::new(),
        };
        match value.is_empty() {
            true => Err(Failure::new("`value` is missing: a text or a number")),
            false => Ok(value),
        }
    }

    /// The line of the file; none if it goes. What may be refused has a dash,
    /// so that nothing complains of it at boot.
    fn line(&self) -> Result<Option<String>> {
        if self.name.is_empty() || self.name.contains(|c: char| c.is_whitespace() || c == '=') {
            return Err(Failure::new(format!(
                "`{}` is no kernel parameter",
                self.name
            )));
        }
        let dash = if self.ignore { "-" } else { "" };
        Ok(match self.state {
            SysctlState::Present => Some(format!("{dash}{} = {}", self.name, self.value()?)),
            SysctlState::Absent => None,
        })
    }

    /// The last of several lines counts at boot, so only one is left.
    fn edited(&self, text: &str, line: Option<&str>) -> String {
        let mut lines = lines(text);
        let is_ours = |known: &String| {
            let name = setting(known).map(|(name, _)| name);
            name.is_some_and(|name| {
                name.trim_start_matches('-') == KernelParameter::path(&self.name)
            })
        };
        let Some(line) = line else {
            lines.retain(|known| !is_ours(known));
            return lines.concat();
        };
        let last = lines.iter().rposition(is_ours);
        let mut index = 0;
        lines.retain(|known| {
            index += 1;
            !is_ours(known) || Some(index - 1) == last
        });
        match lines.iter_mut().find(|known| is_ours(known)) {
            Some(known) if setting(known) == setting(line) => {}
            Some(known) => *known = format!("{line}\n"),
            None => {
                let at = lines.len();
                super::edited::insert(&mut lines, at, vec![format!("{line}\n")], "\n");
            }
        }
        lines.concat()
    }
}

/// Name and value of a line, if it is one that sets something.
fn setting(line: &str) -> Option<(String, String)> {
    let line = bare(line).trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (name, value) = line.split_once('=')?;
    Some((KernelParameter::path(name.trim()), spaced(value)))
}

/// The kernel puts tabs between numbers, and people put spaces.
fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "what the door did is looked at from outside"
)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::modules::testing::{
        RealHost, call, changes_once, host, refusal, text, unchanged, write,
    };
    use crate::outcome::Verdict;
    use crate::system::overlay::Pending;

    const FILE: &str = "/etc/sysctl.d/99-veza.conf";

    #[test]
    fn the_file_and_the_kernel_get_the_value() {
        let mut host = host(Pending::default());
        let outcome = changes_once(
            &mut host,
            "sysctl",
            json!({ "name": "net.core.somaxconn", "value": 1024 }),
        );
        assert_eq!(
            text(&host, FILE).as_deref(),
            Some("net.core.somaxconn = 1024\n")
        );
        assert_eq!(outcome.effects.len(), 2);
        let spaces = json!({ "name": "net/core/somaxconn", "value": "1024 " });
        let outcome = call(&mut host, "sysctl", spaces);
        assert!(
            outcome
                .effects
                .iter()
                .all(|record| matches!(record.effect, Effect::SetKernelParameter { .. }))
        );
    }

    #[test]
    fn only_the_line_of_the_parameter_changes() {
        let mut host = host(Pending::default());
        write(
            &mut host,
            FILE,
            "# kernel.x = 1\nkernel.x=1\n-kernel/x = 2\nkernel.y = 1",
        );
        let mut x = json!({ "name": "kernel.x", "value": "3 4", "live": false });
        changes_once(&mut host, "sysctl", x.clone());
        assert_eq!(
            text(&host, FILE).as_deref(),
            Some("# kernel.x = 1\nkernel.x = 3 4\nkernel.y = 1")
        );
        x["state"] = json!("absent");
        changes_once(&mut host, "sysctl", x);
        assert_eq!(
            text(&host, FILE).as_deref(),
            Some("# kernel.x = 1\nkernel.y = 1")
        );
        write(&mut host, FILE, "kernel.y =\t1\t 2\n");
        let same = json!({ "name": "kernel.y", "value": "1 2", "live": false });
        unchanged(&mut host, "sysctl", same);
    }

    #[test]
    fn what_the_kernel_does_not_have_is_a_failure_unless_ignored() {
        let host = RealHost::new();
        let mut none = json!({
            "name": "kernel.no_such_thing", "value": 1, "sysctl_file": host.at("conf"),
        });
        for outcome in [host.predicted("sysctl", &none), host.call("sysctl", &none)] {
            let failure = outcome.failure.expect("a failure");
            assert!(failure.message.contains("no parameter"), "{failure}");
        }
        none["ignore"] = json!(true);
        host.changes_once("sysctl", none);
        let written = std::fs::read_to_string(host.at("conf")).expect("written");
        assert_eq!(written, "-kernel.no_such_thing = 1\n");
    }

    #[test]
    fn what_the_kernel_has_already_is_only_written_down() {
        let host = RealHost::new();
        let ranges = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        let ranges = spaced(&ranges.expect("it can be read"));
        let range = json!({
            "name": "net.ipv4.ip_local_port_range", "value": ranges, "sysctl_file": host.at("conf"),
        });
        let outcome = host.changes_once("sysctl", range);
        assert_eq!(outcome.effects.len(), 1, "{:?}", outcome.effects);
    }

    #[test]
    fn a_module_may_be_loaded_before() {
        let real = RealHost::new();
        let mut dry = real.dry_run();
        let load = call(
            &mut dry,
            "command",
            json!({ "cmd": "modprobe br_netfilter" }),
        );
        assert_eq!(load.verdict, Verdict::Changed);
        let bridge = json!({
            "name": "net.nosuch.parameter", "value": 1, "sysctl_file": real.at("conf"),
        });
        let outcome = call(&mut dry, "sysctl", bridge);
        assert_eq!(outcome.verdict, Verdict::Changed, "{:?}", outcome.failure);
    }

    #[test]
    fn a_name_and_a_value_are_needed() {
        let mut host = host(Pending::default());
        for arguments in [
            json!({ "name": "a b", "value": 1 }),
            json!({ "name": "", "value": 1 }),
        ] {
            assert!(refusal(&mut host, "sysctl", arguments).contains("no kernel parameter"));
        }
        let nothing = json!({ "name": "vm.swappiness" });
        assert!(refusal(&mut host, "sysctl", nothing).contains("`value` is missing"));
    }
}
