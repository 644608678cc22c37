//! What a run tells of a play, and where a plan and its apply part.

use serde_json::Value;

use crate::support::Said;

/// Compares a dry run with the apply after it; gives what was wrong.
pub fn compare(plan: &Said, done: &Said) -> Vec<String> {
    let mut wrong = Vec::new();
    for run in [plan, done] {
        if ![0, 3].contains(&run.code) {
            wrong.push(format!("exit code {}: {}", run.code, run.err));
            return wrong;
        }
    }
    let (planned, done) = (tellings(plan), tellings(done));
    wrong.extend(part(&planned, &done));
    wrong.extend(unsettled(&planned, "plan"));
    wrong.extend(unsettled(&done, "done"));
    wrong
}

/// Where the two part, as far as the plan is sure of its way.
fn part(planned: &[Value], done: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    for number in 0..planned.len().max(done.len()) {
        let (plan, done) = (planned.get(number), done.get(number));
        let (Some(plan), Some(done)) = (plan, done) else {
            if !plan.is_some_and(is_end) {
                wrong.push(told("only one of them", plan, done));
            }
            break;
        };
        if is_end(plan) {
            break;
        }
        if !same_place(plan, done) {
            wrong.push(told("parts ways", Some(plan), Some(done)));
            break;
        }
        let may_fail = !is_certain(plan) || runs_something(plan);
        if may_fail && failure(done).is_some() && failure(plan).is_none() {
            break;
        }
        if is_certain(plan) && !matches(&core(plan), &core(done)) && !fail_alike(plan, done) {
            wrong.push(told("differs", Some(plan), Some(done)));
        }
    }
    wrong
}

/// Whether the plan goes no further, or only on an assumption.
fn is_end(plan: &Value) -> bool {
    let assumes = plan["text"]
        .as_str()
        .is_some_and(|text| text.starts_with("assumed: "));
    plan["event"] == "plan_incomplete" || assumes
}

/// Whether a task starts a program, which may fail for reasons of its own.
fn runs_something(plan: &Value) -> bool {
    let effects = plan["outcome"]["effects"].as_array().into_iter().flatten();
    effects.into_iter().any(|record| {
        let effect = &record["effect"];
        let is_job = ["start", "restart", "reload"]
            .iter()
            .any(|action| effect["action"] == *action);
        ["run_command", "download"]
            .iter()
            .any(|kind| effect["effect"] == *kind)
            || is_job
    })
}

fn failure(event: &Value) -> Option<&str> {
    event["outcome"]["failure"]["message"].as_str()
}

/// Whether what is done is what was planned, where that is known.
fn matches(plan: &Value, done: &Value) -> bool {
    match (plan, done) {
        (Value::String(plan), _) if plan.contains("(known after apply)") => true,
        (Value::Object(plan), _) if plan.contains_key("unknown") => true,
        (Value::Object(plan), Value::Object(done)) => {
            plan.len() == done.len()
                && plan
                    .iter()
                    .all(|(name, value)| done.get(name).is_some_and(|done| matches(value, done)))
        }
        (Value::Array(plan), Value::Array(done)) => {
            plan.len() == done.len()
                && plan
                    .iter()
                    .zip(done)
                    .all(|(plan, done)| matches(plan, done))
        }
        _ => plan == done,
    }
}

fn told(what: &str, plan: Option<&Value>, done: Option<&Value>) -> String {
    let brief = |event: Option<&Value>| event.map_or_else(|| "nothing".to_owned(), brief);
    format!("{what}\n  plan {}\n  done {}", brief(plan), brief(done))
}

/// The events that tell what a script did, in order.
fn tellings(run: &Said) -> Vec<Value> {
    let told = [
        "task_finished",
        "failure_caught",
        "logged",
        "script_failed",
        "plan_incomplete",
        "host_lost",
    ];
    let is_told = |event: &Value| {
        event["event"]
            .as_str()
            .is_some_and(|name| told.contains(&name))
    };
    let only_live = |event: &Value| {
        event["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("handlers left"))
    };
    run.events()
        .into_iter()
        .filter(|event| is_told(event) && !only_live(event))
        .collect()
}

fn same_place(plan: &Value, done: &Value) -> bool {
    ["event", "site", "module", "handler"]
        .iter()
        .all(|name| plan[*name] == done[*name])
}

/// Whether a dry run tells this for sure.
fn is_certain(plan: &Value) -> bool {
    let outcome = &plan["outcome"];
    let unknown = outcome["verdict"] == "unknown" || plan["unknown_origins"].is_object();
    let assumed = outcome["assumptions"]
        .as_array()
        .is_some_and(|all| !all.is_empty());
    let skipped =
        outcome["verdict"] == "skipped" && outcome["values"]["unknown_origins"].is_object();
    !unknown && !assumed && !skipped
}

/// Whether both fail, the apply in the words of a program of the host.
fn fail_alike(plan: &Value, done: &Value) -> bool {
    let said = failure(done).is_some_and(|message| {
        message.contains(" ended with exit code ")
            || message.contains(" answers 404")
            || message.contains("SHA-256")
            || message.contains("too many levels of symbolic links")
    });
    failure(plan).is_some() && said
}

/// What must be the same.
fn core(event: &Value) -> Value {
    if event["event"] == "logged" {
        return event["text"].clone();
    }
    let outcome = &event["outcome"];
    let mut effects = Vec::new();
    for record in outcome["effects"].as_array().into_iter().flatten() {
        let mut record = record.clone();
        if record["effect"]["backup"].is_string() {
            record["effect"]["backup"] = "some name".into();
        }
        effects.push(record["effect"].clone());
    }
    let failure = outcome["failure"]["message"].as_str().unwrap_or_default();
    serde_json::json!({
        "verdict": outcome["verdict"],
        "changes": outcome["changes"],
        "effects": effects,
        "failure": failure,
    })
}

/// Tasks that come twice in a row, and change something the second time.
fn unsettled(events: &[Value], run: &str) -> Vec<String> {
    let is_task = |event: &&Value| event["event"] == "task_finished";
    let finished: Vec<&Value> = events.iter().filter(is_task).collect();
    let again = |pair: &&[&Value]| {
        let [first, again] = [0, 1].map(|number| &pair[number]["outcome"]);
        pair[0]["site"] == pair[1]["site"]
            && first["title"] == again["title"]
            && first["verdict"] != "unknown"
            && first["failure"].is_null()
            && again["verdict"] == "changed"
    };
    let told = |pair: &[&Value]| {
        let [first, again] = [0, 1].map(|number| brief(pair[number]));
        format!("unsettled in {run}\n  first {first}\n  again {again}")
    };
    finished.windows(2).filter(again).map(told).collect()
}

fn brief(event: &Value) -> String {
    let mut brief = format!(
        "{} {} line {}",
        event["event"], event["module"], event["site"]["line"]
    );
    for name in ["text", "message", "reason"] {
        if event[name].is_string() {
            brief += &format!(" {name}: {}", event[name]);
        }
    }
    if event["outcome"].is_object() {
        brief += &format!(" {} {}", event["outcome"]["title"], core(event));
        let assumptions = &event["outcome"]["assumptions"];
        if assumptions.as_array().is_some_and(|all| !all.is_empty()) {
            brief += &format!(" assuming {assumptions}");
        }
    }
    brief
}
