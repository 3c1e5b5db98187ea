//! Clouds that lose replies, fail, are late with their lists and see their callers die: in the end there is one machine for
//! each server, and none for one that was deleted.

mod addresses;
mod patience;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::model::plan::Plan;
use crate::provision::provider::ServerState;
use crate::provision::transport::{ExecResult, Mirrors};

/// What a call meets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Well,
    LostReply,
    Broken,
    Busy,
    Unreachable,
    /// It wants to be left alone for longer than anybody waits.
    Away,
    /// The caller dies before the call is made.
    DiesBefore,
    /// The caller dies with the answer on its way.
    DiesAfter,
}

struct Death;

#[derive(Default)]
struct World {
    machines: BTreeMap<String, (Machine, Instant)>,
    made: u32,
    orders: u32,
    fates: Vec<Fate>,
    knows_tokens: bool,
    refuses: bool,
    /// What lists say of machines, where that is another state than theirs.
    shown: Option<MachineState>,
    /// Looks at lists.
    looks: u32,
    /// Whether lists tell no addresses.
    tells_none: bool,
    /// How often an address was asked for.
    asked: u32,
    /// How long callers wait for lists, where that is another time than usual.
    settles: Option<Duration>,
}

/// How late a list may be, and how long callers wait for it: far apart, since tests share their machine.
const LAG: Duration = Duration::from_millis(2);
const SETTLES: Duration = Duration::from_millis(4);

/// For how long it may want to be left alone: as good as for ever.
const AWAY: Duration = Duration::from_secs(u64::MAX);

#[derive(Clone, Default)]
struct Hostile(Arc<Mutex<World>>);

impl Hostile {
    fn with(fates: &[Fate], knows_tokens: bool) -> Self {
        let fates = fates.iter().rev().copied().collect();
        Self(Arc::new(Mutex::new(World { fates, knows_tokens, ..World::default() })))
    }

    fn call<T>(&self, work: impl FnOnce(&mut World) -> Result<T, CallError>) -> Result<T, CallError> {
        let mut world = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fate = world.fates.pop().unwrap_or(Fate::Well);
        let lost = || Err(CallError::Unknown("lost".to_owned()));
        match fate {
            Fate::Well => work(&mut world),
            Fate::LostReply => work(&mut world).and_then(|_| lost()),
            Fate::Broken => lost(),
            Fate::Busy => Err(CallError::Later { what: "busy".to_owned(), after: None, throttled: false }),
            Fate::Away => Err(CallError::Later { what: "closed".to_owned(), after: Some(AWAY), throttled: true }),
            Fate::Unreachable => Err(CallError::Unreachable("nobody there".to_owned())),
            Fate::DiesBefore => resume_unwind(Box::new(Death)),
            Fate::DiesAfter => {
                let _ = work(&mut world);
                resume_unwind(Box::new(Death))
            }
        }
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).machines.len()
    }
}

impl Api for Hostile {
    fn name(&self) -> &'static str {
        "hostile"
    }

    fn validate(&self, _spec: &ServerSpec) -> Result<(), ProviderError> {
        Ok(())
    }

    fn catalogue(&self) -> Result<Catalogue, CallError> {
        Ok(Catalogue::default())
    }

    fn find(&self, labels: &Labels) -> Result<Vec<Machine>, CallError> {
        self.call(|world| {
            world.looks += 1;
            let (shown, tells_none) = (world.shown, world.tells_none);
            let listed = world.machines.values().filter(|(_, since)| since.elapsed() > LAG).map(|(machine, _)| machine);
            let carries = |machine: &&Machine| labels.iter().all(|(key, value)| machine.labels.get(key) == Some(value));
            let seen = |machine: &Machine| Machine {
                state: shown.unwrap_or(machine.state),
                address: machine.address.clone().filter(|_| !tells_none),
                ..machine.clone()
            };
            Ok(listed.filter(carries).map(seen).collect())
        })
    }

    fn address(&self, id: &str) -> Result<Option<String>, CallError> {
        self.call(|world| {
            world.asked += 1;
            Ok(world.machines.get(id).and_then(|(machine, _)| machine.address.clone()))
        })
    }

    fn create(&self, order: &Order<'_>) -> Result<Machine, CallError> {
        self.call(|world| {
            if world.refuses {
                return Err(CallError::Refused { what: "no room".to_owned(), hint: None });
            }
            world.orders += 1;
            let same = |(machine, _): &&(Machine, Instant)| machine.labels[TOKEN] == order.token;
            if let Some((machine, _)) = world.machines.values().find(same).filter(|_| world.knows_tokens) {
                return Ok(machine.clone());
            }
            world.made += 1;
            let machine = Machine {
                id: format!("m{}", world.made),
                labels: order.labels.clone(),
                state: MachineState::Running,
                plan: Some(order.spec.plan),
                zone: order.spec.zone.to_string(),
                address: Some("10.0.0.1".to_owned()),
                notes: Vec::new(),
            };
            world.machines.insert(machine.id.clone(), (machine.clone(), Instant::now()));
            Ok(machine)
        })
    }

    fn start(&self, _machine: &Machine) -> Result<(), CallError> {
        self.call(|_| Ok(()))
    }

    fn delete(&self, machine: &Machine) -> Result<Deletion, CallError> {
        self.call(|world| Ok(world.machines.remove(&machine.id).map_or(Deletion::Gone, |_| Deletion::Going)))
    }

    fn relabel(&self, machine: &Machine, labels: &Labels) -> Result<(), CallError> {
        self.call(|world| {
            world.machines.get_mut(&machine.id).unwrap().0.labels.clone_from(labels);
            Ok(())
        })
    }

    fn login(&self, _spec: &ServerSpec) -> String {
        "root".to_owned()
    }

    fn knows_tokens(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).knows_tokens
    }

    fn settles_within(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).settles.unwrap_or(SETTLES)
    }

    fn poll_every(&self) -> Duration {
        Duration::from_millis(1)
    }
}

struct Nowhere;

impl Reach for Nowhere {
    fn public_key(&self) -> Result<String, ProviderError> {
        Ok("ssh-ed25519 A".to_owned())
    }

    fn transport(&self, _: &str, _: &Machine, _: &str) -> Result<Box<dyn Transport>, ProviderError> {
        Ok(Box::new(Self))
    }

    fn forget(&self, _provider: &str, _machine: &str) {}
}

impl Transport for Nowhere {
    fn exec(&self, _exec: &Exec<'_>) -> Result<ExecResult, ProviderError> {
        Ok(ExecResult::default())
    }

    fn mirrors(&self) -> Mirrors {
        Mirrors::Reached
    }
}

fn spec(cpus: u32) -> ServerSpec {
    let name = |text: &str| Name::new(text).unwrap();
    ServerSpec {
        infra: name("i"),
        name: name("web"),
        plan: Plan { cpus, memory_mib: 1024 },
        zone: name("z"),
        operation: "b/o".to_owned(),
        labels: BTreeMap::new(),
        extra: serde_json::Map::new(),
    }
}

/// A workspace, and the cloud as each new process sees it.
struct Sample {
    _dir: tempfile::TempDir,
    workspace: Workspace,
    hostile: Hostile,
}

impl Sample {
    fn of(hostile: Hostile) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        Self { _dir: dir, workspace, hostile }
    }

    fn cloud(&self) -> Cloud {
        Cloud::new(&self.workspace, Box::new(self.hostile.clone()), Box::new(Nowhere), Reporter::silent())
    }

    /// Does something in one process after the other until one of them lives to its end.
    fn insist<T>(&self, work: impl Fn(&Cloud) -> T) -> T {
        loop {
            let cloud = self.cloud();
            match catch_unwind(AssertUnwindSafe(|| work(&cloud))) {
                Ok(answer) => return answer,
                Err(death) if death.is::<Death>() => {}
                Err(panic) => resume_unwind(panic),
            }
        }
    }
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        4 => Just(Fate::Well),
        2 => Just(Fate::LostReply),
        1 => Just(Fate::Broken),
        1 => Just(Fate::Busy),
        1 => Just(Fate::Unreachable),
        1 => Just(Fate::DiesBefore),
        2 => Just(Fate::DiesAfter),
    ];
    prop::collection::vec(fate, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_lost_there_is_one_machine_and_in_the_end_none(fates in fates(), knows_tokens: bool) {
        let sample = Sample::of(Hostile::with(&fates, knows_tokens));
        let infra = spec(1).infra;
        let server = sample.insist(|cloud| cloud.create(&spec(1))).unwrap();
        prop_assert_eq!(sample.hostile.count(), 1);
        let ready = sample.insist(|cloud| cloud.wait_ready(&infra, &server.spec.name, Duration::from_secs(5))).unwrap();
        prop_assert_eq!((&ready.id, ready.state), (&server.id, ServerState::Running));
        prop_assert!(sample.insist(|cloud| cloud.strays(&infra)).unwrap().is_empty());
        sample.insist(|cloud| cloud.delete(&infra, &server.spec.name)).unwrap();
        prop_assert_eq!(sample.hostile.count(), 0);
        prop_assert!(sample.insist(|cloud| cloud.list(&infra)).unwrap().is_empty());
    }

    /// A creation that dies anywhere, followed by its compensation instead of another try, leaves nothing.
    #[test]
    fn what_a_dead_process_ordered_is_found_by_whoever_deletes_it(fates in fates(), knows_tokens: bool) {
        let sample = Sample::of(Hostile::with(&fates, knows_tokens));
        let infra = spec(1).infra;
        let cloud = sample.cloud();
        let _ = catch_unwind(AssertUnwindSafe(|| cloud.create(&spec(1))));
        let left = sample.insist(|cloud| cloud.list(&infra)).unwrap();
        prop_assert!(left.len() == 1 || sample.hostile.count() == 0, "what may be there is listed");
        for server in &left {
            prop_assert_eq!(server.spec.operation.as_str(), "b/o");
            sample.insist(|cloud| cloud.delete(&infra, &server.spec.name)).unwrap();
        }
        prop_assert_eq!(sample.hostile.count(), 0);
    }
}

#[test]
fn a_refusal_leaves_nothing_behind() {
    let sample = Sample::of(Hostile::default());
    assert!(sample.cloud().is_untouched(&spec(1).infra));
    sample.hostile.0.lock().unwrap().refuses = true;
    let error = sample.cloud().create(&spec(1)).unwrap_err();
    assert_eq!(error.to_string(), "hostile can't make the server web: no room");
    assert!(sample.cloud().list(&spec(1).infra).unwrap().is_empty());
    sample.hostile.0.lock().unwrap().refuses = false;
    assert!(sample.cloud().create(&spec(2)).is_ok(), "another plan is no conflict with what never was");
    assert!(!sample.cloud().is_untouched(&spec(1).infra));
}

#[test]
fn another_plan_is_a_conflict_and_what_somebody_else_deleted_is_made_anew() {
    let sample = Sample::of(Hostile::default());
    let first = sample.cloud().create(&spec(1)).unwrap();
    let error = sample.cloud().create(&spec(2)).unwrap_err().to_string();
    assert_eq!(error, "server web exists with another plan: it has 1xCPU-1 GB, asked for 2xCPU-1 GB");
    sample.hostile.0.lock().unwrap().machines.clear();
    assert_ne!(sample.cloud().create(&spec(2)).unwrap().id, first.id);
}

#[test]
fn a_stray_is_shown_keeps_its_name_and_can_be_adopted_or_deleted() {
    let sample = Sample::of(Hostile::default());
    sample.cloud().create(&spec(1)).unwrap();
    // The workspace forgets everything.
    let elsewhere = Sample::of(sample.hostile.clone());
    let infra = spec(1).infra;
    std::thread::sleep(2 * LAG);
    assert!(elsewhere.cloud().list(&infra).unwrap().is_empty());
    let strays = elsewhere.cloud().strays(&infra).unwrap();
    assert_eq!((strays.len(), strays[0].stray, strays[0].spec.operation.as_str()), (1, true, "b/o"));
    let error = elsewhere.cloud().create(&spec(1)).unwrap_err().to_string();
    let own = identity::made(&sample.workspace).unwrap();
    assert_eq!(error, format!("hostile has a machine for web already (m1), and the workspace {own} made it"));
    assert_eq!(strays[0].workspace.as_ref(), Some(&own));
    let adopted = elsewhere.cloud().adopt(&strays[0]).unwrap();
    let listed = elsewhere.cloud().list(&infra).unwrap();
    assert_eq!((listed.len(), &listed[0].id, &listed[0].spec), (1, &adopted.id, &adopted.spec));
    assert!(elsewhere.cloud().strays(&infra).unwrap().is_empty());
    let carried = sample.hostile.0.lock().unwrap().machines["m1"].0.labels.clone();
    assert_eq!(carried[WORKSPACE], identity::made(&elsewhere.workspace).unwrap());
    assert_eq!(carried[OPERATION], "b/o");
    sample.cloud().delete_stray(&strays[0]).unwrap();
    assert_eq!(sample.hostile.count(), 0);
}

#[test]
fn labels_are_changed_and_those_of_prov_are_nobody_elses() {
    let sample = Sample::of(Hostile::default());
    sample.cloud().create(&spec(1)).unwrap();
    let labels: Labels = [("team".to_owned(), "web".to_owned())].into();
    let server = sample.cloud().relabel(&spec(1).infra, &spec(1).name, &labels).unwrap();
    assert_eq!(server.spec.labels, labels);
    let carried = sample.hostile.0.lock().unwrap().machines["m1"].0.labels.clone();
    assert_eq!(
        (carried["team"].as_str(), carried[SERVER].as_str(), carried[OPERATION].as_str()),
        ("web", "web", "b/o")
    );
    let mut own = spec(1);
    own.labels.insert("prov-infra".to_owned(), "other".to_owned());
    assert!(sample.cloud().create(&own).unwrap_err().to_string().contains("is prov's own"));
}

/// Whoever undoes an operation looks for its label: what it made mustn't carry that of an order which nothing came of.
#[test]
fn what_nothing_came_of_is_ordered_anew_as_the_work_of_who_wants_it_now() {
    for knows_tokens in [false, true] {
        let sample = Sample::of(Hostile::with(&[Fate::Well, Fate::DiesBefore], knows_tokens));
        let cloud = sample.cloud();
        assert!(catch_unwind(AssertUnwindSafe(|| cloud.create(&spec(1)))).is_err());
        let mut other = spec(1);
        other.operation = "c/o".to_owned();
        other.labels.insert("team".to_owned(), "web".to_owned());
        let server = sample.cloud().create(&other).unwrap();
        assert_eq!(server.spec, other);
        let carried =
            sample.hostile.0.lock().unwrap_or_else(PoisonError::into_inner).machines[&server.id].0.labels.clone();
        assert_eq!((carried[OPERATION].as_str(), carried["team"].as_str()), ("c/o", "web"));
        assert_eq!(sample.hostile.count(), 1);
    }
}
