//! The twin of a provider: what rehearsals work against. It keeps machines in a file, takes as long as clouds take (scaled),
//! and has the troubles that clouds have ([`chance`]): replies that are lost, machines in between states, too many requests,
//! creations that take five times as long.
//!
//! What the real provider would refuse beforehand, its twin refuses. Commands in its machines take their time and succeed;
//! files are kept. Knows nothing of task services.

mod chance;
mod inside;
mod state;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::chance::Trouble;
use self::state::{Held, State};
use super::cloud::{Api, CallError, Catalogue, Deletion, Labels, Machine, MachineState, Order, Reach, SERVER};
use super::pace::{Pace, Rate};
use super::{Provider, ProviderError, ServerSpec};
use crate::model::rehearsal::Rehearsal;

/// Seconds until a machine that was ordered runs.
const BOOT: (f64, f64) = (20.0, 60.0);
/// Seconds until a machine that was ordered is in lists.
const LISTED: (f64, f64) = (0.5, 4.0);
/// Seconds until a machine that is stopped for its deletion has stopped, or has gone.
const STOP: (f64, f64) = (2.0, 10.0);
/// Seconds that a call takes.
const CALL: (f64, f64) = (0.05, 0.4);
/// Calls at once that the twin bears after a rest.
const BURST: f64 = 10.0;
/// Seconds that it wants to be left alone when there were too many.
const RETRY_AFTER: f64 = 1.0;

/// The twin of one provider.
pub struct Twin {
    real: Box<dyn Provider>,
    rehearsal: Rehearsal,
    path: PathBuf,
    pace: Pace,
}

impl Twin {
    /// That of `real`, with its state below `state_dir`.
    #[must_use]
    pub fn of(real: Box<dyn Provider>, rehearsal: &Rehearsal, state_dir: &Path) -> Self {
        // Somebody who doesn't know the limit begins above it, and learns.
        let rate = Rate { per_second: 3.0 * rehearsal.rate * rehearsal.speed, burst: 2.0 * BURST };
        let pace = Pace::of(state_dir, real.name(), "rehearsal", rate);
        let path = state::path(state_dir, real.name());
        Self { real, rehearsal: rehearsal.clone(), path, pace }
    }

    /// The way into its machines.
    #[must_use]
    pub fn reach(&self) -> Box<dyn Reach> {
        Box::new(inside::Door { path: self.path.clone(), rehearsal: self.rehearsal.clone() })
    }

    /// Seconds of this host for seconds of the twin.
    fn scaled(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds / self.rehearsal.speed)
    }

    /// Makes a call about `subject`: it waits for its turn, takes its time, and meets what the seed has for it.
    fn call<T>(
        &self,
        call: &str,
        subject: &str,
        work: impl FnOnce(&mut State, f64) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        self.pace.take().map_err(CallError::left_alone)?;
        let rate = self.rehearsal.rate * self.rehearsal.speed;
        let done = state::with(&self.path, |state, now| {
            if !bears(state, rate, now) {
                return (None, Err(self.too_many()));
            }
            let count = state.count(call, subject);
            let trouble = chance::trouble(&self.rehearsal, call, subject, count);
            let takes = chance::seconds(&self.rehearsal, call, &format!("{subject} {count}"), CALL.0, CALL.1);
            (Some(takes), meet(trouble, call, || work(state, now)))
        });
        let (takes, result) = done.map_err(|error| CallError::Refused { what: error.to_string(), hint: None })?;
        std::thread::sleep(self.scaled(takes.unwrap_or(0.0)));
        match &result {
            Ok(_) => self.pace.speed_up(),
            Err(CallError::Later { after, throttled: true, .. }) => self.pace.slow_down(*after),
            Err(_) => {}
        }
        result
    }

    fn too_many(&self) -> CallError {
        let after = Some(self.scaled(RETRY_AFTER));
        CallError::Later { what: "429 Too Many Requests (rehearsed)".to_owned(), after, throttled: true }
    }
}

/// What becomes of a call that meets this trouble, if any.
fn meet<T>(trouble: Option<Trouble>, call: &str, work: impl FnOnce() -> Result<T, CallError>) -> Result<T, CallError> {
    match trouble {
        None => work(),
        Some(Trouble::LostReply) => {
            work()?;
            Err(CallError::Unknown("the connection broke before the reply came (rehearsed)".to_owned()))
        }
        Some(Trouble::Broken) => Err(CallError::Unknown("500 Internal Server Error (rehearsed)".to_owned())),
        // What reads is never in between states.
        Some(Trouble::Maintenance) if call == "find" || call == "create" => work(),
        Some(Trouble::Maintenance) => Err(CallError::Later {
            what: "the server is in the state maintenance (rehearsed)".to_owned(),
            after: None,
            throttled: false,
        }),
    }
}

/// Whether one more call is borne.
fn bears(state: &mut State, rate: f64, now: f64) -> bool {
    let passed = if state.at > 0.0 { (now - state.at).max(0.0) } else { f64::INFINITY };
    state.tokens = (state.tokens + passed * rate).min(BURST);
    state.at = now;
    let is_borne = state.tokens >= 1.0;
    if is_borne {
        state.tokens -= 1.0;
    }
    is_borne
}

/// The machine as it is at this moment.
fn shown(held: &Held, now: f64) -> Machine {
    let state = if held.settled > now { MachineState::Changing } else { held.machine.state };
    Machine { state, ..held.machine.clone() }
}

impl Api for Twin {
    fn name(&self) -> &str {
        self.real.name()
    }

    fn validate(&self, spec: &ServerSpec) -> Result<(), ProviderError> {
        self.real.validate(spec)
    }

    fn warnings(&self, _spec: &ServerSpec) -> Vec<String> {
        vec![format!("a rehearsal: it is made at a twin of {}, and runs nothing", self.real.name())]
    }

    fn catalogue(&self) -> Result<Catalogue, CallError> {
        Ok(Catalogue::default())
    }

    fn find(&self, labels: &Labels) -> Result<Vec<Machine>, CallError> {
        let subject: Vec<&str> = labels.values().map(String::as_str).collect();
        self.call("find", &subject.join("/"), |state, now| {
            let matches = |held: &&Held| {
                held.listed <= now && labels.iter().all(|(key, value)| held.machine.labels.get(key) == Some(value))
            };
            Ok(state.machines.values().filter(matches).map(|held| shown(held, now)).collect())
        })
    }

    fn create(&self, order: &Order<'_>) -> Result<Machine, CallError> {
        let name = order.spec.name.as_str();
        if self.rehearsal.fail.contains(&order.spec.name) {
            return Err(CallError::Refused {
                what: format!("no resources for {name} in {} (rehearsed)", order.spec.zone),
                hint: Some("a rehearsal was told to fail for it".to_owned()),
            });
        }
        let time =
            |what, (least, most)| chance::seconds(&self.rehearsal, what, name, least, most) / self.rehearsal.speed;
        self.call("create", name, |state, now| {
            state.made += 1;
            let made = state.made;
            let machine = Machine {
                id: format!("twin-{made}"),
                labels: order.labels.clone(),
                state: MachineState::Running,
                plan: Some(order.spec.plan),
                zone: order.spec.zone.to_string(),
                address: Some(format!("10.{}.{}.{}", 100 + (made >> 16), (made >> 8) & 0xff, made & 0xff)),
                notes: Vec::new(),
            };
            let (settled, listed) = (now + time("boot", BOOT), now + time("listed", LISTED));
            let held = Held { machine, settled, listed, going: false, files: std::collections::BTreeMap::new() };
            let answer = shown(&held, now);
            state.machines.insert(answer.id.clone(), held);
            Ok(answer)
        })
    }

    fn start(&self, machine: &Machine) -> Result<(), CallError> {
        self.call("start", subject(machine), |state, now| {
            if let Some(held) = state.machines.get_mut(&machine.id) {
                held.machine.state = MachineState::Running;
                held.settled = now + BOOT.0 / self.rehearsal.speed;
            }
            Ok(())
        })
    }

    fn delete(&self, machine: &Machine) -> Result<Deletion, CallError> {
        let name = subject(machine);
        let takes = chance::seconds(&self.rehearsal, "stop", name, STOP.0, STOP.1) / self.rehearsal.speed;
        self.call("delete", name, |state, now| {
            let Some(held) = state.machines.get_mut(&machine.id) else { return Ok(Deletion::Gone) };
            if held.settled > now {
                return if held.going {
                    Ok(Deletion::Going)
                } else {
                    let what = "the server is in the state maintenance".to_owned();
                    Err(CallError::Later { what, after: None, throttled: false })
                };
            }
            held.going = true;
            held.settled = now + takes;
            Ok(Deletion::Going)
        })
    }

    fn relabel(&self, machine: &Machine, labels: &Labels) -> Result<(), CallError> {
        self.call("relabel", subject(machine), |state, _| {
            if let Some(held) = state.machines.get_mut(&machine.id) {
                held.machine.labels.clone_from(labels);
            }
            Ok(())
        })
    }

    fn login(&self, _spec: &ServerSpec) -> String {
        "root".to_owned()
    }

    // The harder case, whatever the real provider knows.
    fn knows_tokens(&self) -> bool {
        false
    }

    fn settles_within(&self) -> Duration {
        // A listing can be slow, too.
        self.scaled(LISTED.1 * 5.0 + 1.0)
    }

    fn poll_every(&self) -> Duration {
        self.scaled(2.0).max(Duration::from_millis(5))
    }
}

/// Whom calls about a machine are about: its server's name is the same in every rehearsal, its id is not.
fn subject(machine: &Machine) -> &str {
    machine.labels.get(SERVER).map_or(&machine.id, String::as_str)
}
