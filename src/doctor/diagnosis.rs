//! One row of what `doctor` says, and all of them together.

use serde::Serialize;
use std::fmt;

/// Which part of a deployment a row is about, in the order in which rows are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// Region, endpoint, credentials.
    Identity,
    /// This machine's clock.
    Clock,
    /// The queue that workers receive from.
    Queue,
    /// The dead-letter queue.
    DeadLetters,
    /// Who may send to the queue.
    AccessPolicy,
    /// What feeds the queue.
    Topic,
    /// The ledger's table.
    Table,
    /// What these credentials may call.
    Permissions,
    /// What the policy file names in AWS: mitigation actions, thing groups, topics, roles.
    Policy,
    /// Calls per second.
    Budgets,
    /// The account's audits.
    DeviceDefender,
    /// Who is at work.
    Workers,
    /// A finding sent through all of it.
    Canary,
}

impl Area {
    /// `access policy`, `device defender`: as people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Clock => "clock",
            Self::Queue => "queue",
            Self::DeadLetters => "dead letters",
            Self::AccessPolicy => "access policy",
            Self::Topic => "topic",
            Self::Table => "table",
            Self::Permissions => "permissions",
            Self::Policy => "policy",
            Self::Budgets => "budgets",
            Self::DeviceDefender => "device defender",
            Self::Workers => "workers",
            Self::Canary => "canary",
        }
    }
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum State {
    /// As it should be.
    #[serde(rename = "ok")]
    Ok,
    /// It works, and a person should know this.
    #[serde(rename = "note")]
    Note,
    /// It does not work, or loses or forges something sooner or later.
    #[serde(rename = "wrong")]
    Wrong,
    /// It could not be looked at.
    #[serde(rename = "not checked")]
    NotChecked,
}

impl State {
    /// `ok`, `note`, `wrong`, `not checked`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Wrong => "wrong",
            Self::NotChecked => "not checked",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Which part of the deployment.
    pub area: Area,
    /// What of it.
    pub what: String,
    /// How it stands.
    pub state: State,
    /// What was found, in words.
    pub found: String,
    /// How to mend it: what to do, with a command where one does it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mend: String,
}

impl Diagnosis {
    /// A row.
    pub fn new(area: Area, what: impl Into<String>, state: State, found: impl Into<String>) -> Self {
        Self { area, what: what.into(), state, found: found.into(), mend: String::new() }
    }

    /// The same row, with what to do.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = mend.into();
        self
    }
}

/// Rows of one area are made with this.
#[derive(Debug, Clone, Copy)]
pub(super) struct About(pub Area);

impl About {
    pub fn ok(self, what: impl Into<String>, found: impl Into<String>) -> Diagnosis {
        Diagnosis::new(self.0, what, State::Ok, found)
    }

    pub fn note(self, what: impl Into<String>, found: impl Into<String>) -> Diagnosis {
        Diagnosis::new(self.0, what, State::Note, found)
    }

    pub fn wrong(self, what: impl Into<String>, found: impl Into<String>) -> Diagnosis {
        Diagnosis::new(self.0, what, State::Wrong, found)
    }

    pub fn not_checked(self, what: impl Into<String>, found: impl Into<String>) -> Diagnosis {
        Diagnosis::new(self.0, what, State::NotChecked, found)
    }
}

/// Everything that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// By area, and in each in the order in which it was looked at.
    pub rows: Vec<Diagnosis>,
}

impl Report {
    /// How many rows stand so.
    pub fn count(&self, state: State) -> usize {
        self.rows.iter().filter(|row| row.state == state).count()
    }

    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.count(State::Wrong) == 0
    }

    pub(super) fn add(&mut self, rows: impl IntoIterator<Item = Diagnosis>) {
        self.rows.extend(rows);
        self.rows.sort_by_key(|row| row.area);
    }
}
