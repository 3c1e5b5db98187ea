//! Ways to break engine and scheduler on purpose, each of which the simulation must catch: `cargo bench -- mutants` breaks a
//! copy of the sources in each way and runs the simulation there. A test keeps the list in step with the sources.

/// One way to break something.
pub struct Mutant {
    /// What no longer holds.
    pub breaks: &'static str,
    /// The file below `src/`.
    pub file: &'static str,
    /// What stands there once.
    pub from: &'static str,
    /// What stands there instead.
    pub to: &'static str,
}

/// All of them.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        breaks: "an intent gets a slot before it is on disk",
        file: "scheduler/outbox.rs",
        from: "        self.is_writing = true;\n        let transaction",
        to: "        self.is_writing = true;\n        after.events.iter().for_each(|(work, event)| self.engine.committed(*work, event));\n        let transaction",
    },
    Mutant {
        breaks: "an operation is tried more often than its policy says",
        file: "engine/react.rs",
        from: "state.attempt < rules.retry.max_attempts && work.phase",
        to: "state.attempt <= rules.retry.max_attempts && work.phase",
    },
    Mutant {
        breaks: "compensations run before those of what depends on them",
        file: "engine/unwind.rs",
        from: "if state.blockers == 0 {",
        to: "if state.blockers <= 1 {",
    },
    Mutant {
        breaks: "an operation starts although a hard dependency failed",
        file: "engine/work.rs",
        from: "if *kind == DependencyKind::Hard && status != OperationStatus::Completed {",
        to: "if *kind == DependencyKind::Hard && status == OperationStatus::Skipped {",
    },
    Mutant {
        breaks: "more runs than the daemon may run",
        file: "engine/admission.rs",
        from: "self.running.len() >= self.max_parallel",
        to: "self.running.len() > self.max_parallel",
    },
    Mutant {
        breaks: "more of a batch runs than its limit says",
        file: "engine/admission.rs",
        from: "self.running.len() < self.limit",
        to: "self.running.len() <= self.limit",
    },
    Mutant {
        breaks: "what runs across a restart holds no slot",
        file: "engine/live.rs",
        from: "        self.admission.occupy(adopted.work, adopted.operation);\n",
        to: "",
    },
    Mutant {
        breaks: "what the supervisor knows is not taken up after a restart",
        file: "scheduler/recover.rs",
        from: "(Some(since), _) => self.adopt(attempt, *since),",
        to: "(Some(_), _) => {}",
    },
    Mutant {
        breaks: "a result is forgotten before it is on disk",
        file: "scheduler/driver.rs",
        from: "        self.group.after.forget.push(key);\n",
        to: "        self.tell_supervisor(Request::Forget { key });\n",
    },
    Mutant {
        breaks: "work that is tried again is lost with the daemon",
        file: "scheduler/again.rs",
        from: "self.group.changes.push(Change::PutLive(work, LiveRecord { epoch: self.epoch }));",
        to: "",
    },
    Mutant {
        breaks: "what a rollback undid can't be told from its batch",
        file: "scheduler/showing.rs",
        from: "log.extend(self.record_of_guests(followed, at));",
        to: "drop(followed);",
    },
    Mutant {
        breaks: "two rollbacks undo the same operations at once",
        file: "scheduler/guests.rs",
        from: "            if let Some(host) = self.guests.host(*id) {\n                return Err(NotNow::Held(host).into());\n            }\n",
        to: "",
    },
    Mutant {
        breaks: "a rollback takes hold of a batch that goes on",
        file: "scheduler/guests.rs",
        from: "return Err(NotNow::AtWork(*id, live.status()).into());",
        to: "",
    },
    Mutant {
        breaks: "a batch is tried again while a rollback undoes it",
        file: "scheduler/again.rs",
        from: "        if let Some(host) = self.guests.host(work) {\n            return Err(NotNow::Held(host).into());\n        }\n",
        to: "",
    },
    Mutant {
        breaks: "a rollback ends well although something of it failed",
        file: "engine/advance.rs",
        from: "if failed { BatchStatus::Failed }",
        to: "if failed { BatchStatus::Completed }",
    },
    Mutant {
        breaks: "what waits for an operation that stays as it is never goes on",
        file: "engine/again.rs",
        from: "            _ if work.operation(dependency).waived => Some(true),\n",
        to: "",
    },
    Mutant {
        breaks: "requests to a supervisor that is gone are heard by the next",
        file: "scheduler/driver.rs",
        from: "                self.connection = connection;\n",
        to: "                self.connection = connection.min(1);\n",
    },
    Mutant {
        breaks: "what an earlier round touched is neither undone nor named",
        file: "engine/again.rs",
        from: "                error: None,\n                undo_error: None,\n                ..state.clone()",
        to: "                error: None,\n                undo_error: None,\n                touched: false,\n                ..state.clone()",
    },
    Mutant {
        breaks: "the task of an operation that won't start waits for ever",
        file: "scheduler/rows.rs",
        from: "(row.status, row.completed_at) = (TaskStatus::Cancelled, Some(at));",
        to: "row.completed_at = Some(at);",
    },
    Mutant {
        breaks: "an operation whose rollback failed is not named as left",
        file: "scheduler/rows.rs",
        from: "OperationStatus::RollbackFailed => {\n                format!",
        to: "OperationStatus::RollbackFailed if row.index > 0 => {\n                format!",
    },
    Mutant {
        breaks: "a compensation is ended by an earlier cancel",
        file: "engine/unwind.rs",
        from: "        state.stop_requested = false;\n",
        to: "",
    },
];
