//! Pluglets of a plugin that run each other by way of protocol operations.
//!
//! Pure. Each may end by itself, and still the first run the second, and that the first. A pluglet runs what is attached to an
//! operation, whether instead of it or beside it, when it runs that operation; the parameter with which it does is not looked
//! at. What operations of the host run themselves is not known here, nor are other plugins.

use std::collections::{BTreeMap, VecDeque};

use pds_plugin::manifest::{Attachment, Manifest};

use crate::analysis::Analysis;
use crate::platform::Runs;
use crate::verdict::{Cause, Judgement, Verdict};

/// Operations that a pluglet runs, each with the first call that does so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// By name.
    pub named: BTreeMap<String, usize>,
    /// The first call that may run any.
    pub any: Option<usize>,
}

impl Operations {
    /// Those of a pluglet: by name in its calls, or by what its helpers do on the way.
    pub fn of(analysis: &Analysis<'_>) -> Self {
        let mut operations = Self::default();
        analysis.walk(
            |slot, state| {
                let Some(name) = analysis.program().helper(slot) else { return };
                let Some(helper) = analysis.platform().helpers.get(name) else {
                    return operations.add_any(slot);
                };
                match &helper.effects.runs {
                    Runs::Any => operations.add_any(slot),
                    Runs::Only(names) => names.iter().for_each(|name| operations.add(name, slot)),
                }
                if helper.calls.is_some() {
                    match analysis.called_operation(state, helper) {
                        Some(name) => operations.add(name, slot),
                        None => operations.add_any(slot),
                    }
                }
            },
            |_, _| {},
        );
        operations
    }

    fn add(&mut self, name: &str, slot: usize) {
        self.named.entry(name.to_owned()).or_insert(slot);
    }

    fn add_any(&mut self, slot: usize) {
        self.any.get_or_insert(slot);
    }

    /// The first call that runs an operation.
    fn call(&self, operation: &str) -> Option<usize> {
        self.named.get(operation).copied().into_iter().chain(self.any).min()
    }
}

/// Whether no pluglet of a plugin can come to run itself. `operations` has those of each object; one that is missing may run
/// any.
pub fn verify(manifest: &Manifest, operations: &BTreeMap<String, Operations>) -> Judgement {
    let unknown = Operations { any: Some(0), ..Operations::default() };
    let attachments = &manifest.attachments;
    let of = |attachment: &Attachment| operations.get(&attachment.object).unwrap_or(&unknown);
    let cycles = (0..attachments.len()).filter_map(|start| shortest_cycle(attachments, &of, start));
    let shortest = cycles.min_by_key(Vec::len);
    Judgement::of(shortest.map(|cycle| cause(attachments, &of, &cycle)).into_iter().collect())
}

/// The attachments on the shortest way from one back to itself, itself first.
fn shortest_cycle<'a>(
    attachments: &[Attachment],
    of: &impl Fn(&Attachment) -> &'a Operations,
    start: usize,
) -> Option<Vec<usize>> {
    let mut from: Vec<Option<usize>> = vec![None; attachments.len()];
    let mut open = VecDeque::from([start]);
    while let Some(at) = open.pop_front() {
        let operations = of(&attachments[at]);
        for next in 0..attachments.len() {
            if operations.call(&attachments[next].protoop).is_none() {
                continue;
            }
            if next == start {
                let mut way = vec![at];
                while let Some(before) = from[way[way.len() - 1]] {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            if from[next].is_none() {
                from[next] = Some(at);
                open.push_back(next);
            }
        }
    }
    None
}

fn cause<'a>(
    attachments: &[Attachment],
    of: &impl Fn(&Attachment) -> &'a Operations,
    cycle: &[usize],
) -> Cause {
    let next = |place: usize| &attachments[cycle[(place + 1) % cycle.len()]];
    let call = |place: usize| of(&attachments[cycle[place]]).call(&next(place).protoop).unwrap_or_default();
    let step = |place: usize| {
        let (runner, run) = (&attachments[cycle[place]], next(place));
        let verb = if of(runner).named.contains_key(&run.protoop) { "runs" } else { "may run" };
        let slot = call(place);
        format!(
            "{} {verb} {} at instruction {slot}, where {} is attached",
            runner.object, run.protoop, run.object
        )
    };
    let steps: Vec<String> = (0..cycle.len()).map(step).collect();
    Cause {
        verdict: Verdict::Inconclusive,
        slot: call(0),
        line: None,
        text: format!("pluglets run each other: {}", steps.join("; ")),
        registers: vec![],
    }
}
