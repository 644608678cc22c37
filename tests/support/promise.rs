//! The product's promise, for any env file: what a dry run predicts is what the
//! apply does, and after it there is nothing left to do.

use serde_json::Value;

use super::Said;

/// Keeps the whole promise, or fails: the dry run predicts the effects that the
/// apply performs, the second apply performs none, and the dry run after it
/// finds nothing to do. `run` runs an env file with further options. Gives what
/// the first apply said, as JSON.
#[track_caller]
pub fn keep(run: impl Fn(&[&str]) -> Said) -> Said {
    let predicted = effects(&run(&["--check", "--exit-code", "--output", "json"]).ended_with(2));
    let done = run(&["--output", "json"]).ended_with(0);
    let performed = effects(&done);
    same(&predicted, &performed);
    assert!(!performed.is_empty(), "nothing was done at all");
    let again = effects(&run(&["--output", "json"]).ended_with(0));
    assert_eq!(
        again,
        Vec::<Value>::new(),
        "the second run is not without effects"
    );
    run(&["--check", "--exit-code"])
        .ended_with(0)
        .says("No changes");
    done
}

/// Compares one by one, to name the first that differs.
#[track_caller]
fn same(predicted: &[Value], performed: &[Value]) {
    for (predicted, performed) in predicted.iter().zip(performed) {
        assert_eq!(
            predicted, performed,
            "predicted on the left, performed on the right"
        );
    }
    let (longer, what) = match predicted.len() > performed.len() {
        true => (predicted, "predicted"),
        false => (performed, "performed"),
    };
    let rest = &longer[predicted.len().min(performed.len())..];
    assert!(rest.is_empty(), "only {what}: {rest:#?}");
}

/// The effects of a run, host by host, each with its task; what only the real
/// thing can know is left out.
pub fn effects(run: &Said) -> Vec<Value> {
    let mut effects = Vec::new();
    for event in run.events() {
        if event["event"] != "task_finished" {
            continue;
        }
        for record in event["outcome"]["effects"]
            .as_array()
            .expect("effects are a list")
        {
            let mut effect = record["effect"].clone();
            // A backup is named after its moment.
            if effect["backup"].is_string() {
                effect["backup"] = "some name".into();
            }
            effects.push(serde_json::json!({
                "host": event["host"], "module": event["module"], "site": event["site"],
                "effect": effect,
            }));
        }
    }
    // Hosts go their own ways; the order within each is what counts.
    effects.sort_by_key(|effect| effect["host"].to_string());
    effects
}
