//! The `Ledger` port. Every sentence of these docs is a contract that the contract tests run against each implementation.

use super::census::Census;
use super::lineage::Lineage;
use super::record::{Record, Status, Step, Subject};
use crate::aws::CallError;
use std::future::Future;
use std::time::Duration;

/// Statements that one `BatchExecuteStatement` takes: DynamoDB's limit.
pub const BATCH: usize = 25;

/// A wish to work on a finding.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// What the message says.
    pub subject: Subject,
    /// Whether, and how hard, the message asks for a second chance.
    pub replay: ReplayMode,
    /// Which replay the message belongs to; the claim puts it on record.
    pub lineage: Option<Lineage>,
}

/// What a replayed message may claim beyond a fresh one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayMode {
    /// Not replayed: terminal, dead and held records make it a duplicate.
    Fresh,
    /// Replayed: a dead, held, observed, compliant or suppressed record is claimed again; a mitigated one is not.
    Again,
    /// Replayed by force: every record that is not held under a live lease is claimed again.
    Force,
}

/// The right, under an epoch and a lease, to work on a finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The record as it now is: status claimed, our epoch, our lease.
    pub record: Record,
    /// Whether an earlier claim had begun (its steps are in the record).
    pub taken_over: bool,
    /// Whether that claim's lease had run out: its worker crashed, stalled or was cut off. Not told where this claim's own reply was lost.
    pub lapsed: bool,
}

/// What became of a [`ClaimRequest`].
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimOutcome {
    /// Ours.
    Ours(Box<Claim>),
    /// There is nothing left to do; the status says why.
    Duplicate(Status),
    /// Somebody else's lease is live, or a retry is not due, until then (milliseconds since the epoch).
    Busy {
        /// When to look again.
        until: i64,
    },
    /// The same key with another fingerprint: refuse the message. A dead record refuses none; it is claimed anew.
    Mismatch,
}

/// Which claim a write belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimRef {
    /// The ledger key.
    pub key: String,
    /// The claim's epoch.
    pub epoch: u64,
}

/// How far a claim has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Whose.
    pub claim: ClaimRef,
    /// What was done and what is about to be, earlier claims included.
    pub steps: Vec<Step>,
    /// Where an expansion goes on.
    pub cursor: Option<String>,
}

/// The end of a claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// Whose end.
    pub claim: ClaimRef,
    /// Any status but claimed.
    pub status: Status,
    /// Attempts spent so far.
    pub attempts: u32,
    /// When a waiting record is due, milliseconds since the epoch.
    pub retry_at: Option<i64>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Why, in words.
    pub detail: String,
    /// What was done, earlier claims included.
    pub steps: Vec<Step>,
}

/// What became of a write under a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum WriteError {
    /// Another epoch owns the record: whatever this worker believes about it is void (P3).
    LostClaim,
    /// The call failed.
    Call(CallError),
}

/// What became of a wish to have a resource for oneself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Ours until released, or until the lease is over.
    Open,
    /// Another finding is at work on it until then (milliseconds since the epoch).
    Busy {
        /// When to look again.
        until: i64,
    },
    /// It was acted on inside the cool-down; the recurrence has been counted.
    CoolingDown {
        /// The finding that acted.
        by: String,
        /// When, milliseconds since the epoch.
        at: i64,
    },
}

/// Which records to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these statuses; empty means all.
    pub statuses: Vec<Status>,
    /// Only this check.
    pub check: Option<String>,
    /// Only resources whose id contains this.
    pub resource: Option<String>,
    /// Only findings of this audit.
    pub task_id: Option<String>,
}

/// A page of records.
#[derive(Debug, Clone, Default)]
pub struct RecordPage {
    /// In no particular order.
    pub records: Vec<Record>,
    /// Where to go on; absent on the last page.
    pub next: Option<String>,
}

/// The ledger: each finding once, under epochs and leases. Times are the caller's, in milliseconds since the epoch.
///
/// Batches hold 1 to [`BATCH`] entries **with distinct keys**. The outer `Err` means that the whole call failed and nothing is known
/// of any entry; the inner results, in the order of the entries, say what became of each.
pub trait Ledger: Send + Sync + 'static {
    /// Claims for `owner` until `now + lease`. At most one owner wins each key, whatever races; a takeover raises the epoch by one.
    /// A takeover of a claim whose lease ran out counts an attempt, since whoever held it may have died of it. A replay that takes
    /// an ended record over keeps its steps and starts its attempts and its cursor afresh. A replay whose id is that of the last
    /// one on an ended record is a [`ClaimOutcome::Duplicate`], by force or not: its message was delivered, or sent, twice (P2).
    fn claim(
        &self,
        requests: &[ClaimRequest],
        owner: &str,
        now: i64,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Result<ClaimOutcome, CallError>>, CallError>> + Send;

    /// Extends leases to `now + lease`. [`WriteError::LostClaim`] where the epoch is not the record's, or it is not claimed any more.
    fn renew(
        &self,
        claims: &[ClaimRef],
        now: i64,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Result<(), WriteError>>, CallError>> + Send;

    /// Replaces the steps and the cursor of claimed records and extends their leases to `now + lease`: what must be durable before an
    /// irreversible call.
    fn record(
        &self,
        recordings: &[Recording],
        now: i64,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Result<(), WriteError>>, CallError>> + Send;

    /// Ends claims. Repeating a finish (after a lost reply) succeeds as long as nobody has claimed the record since; ending an
    /// ended record under another status is a [`WriteError::LostClaim`].
    fn finish(
        &self,
        finishes: &[Finish],
        now: i64,
    ) -> impl Future<Output = Result<Vec<Result<(), WriteError>>, CallError>> + Send;

    /// Takes the resource `key` for the finding `holder` until `now + lease`, unless another finding has it, or (when `cooldown` is
    /// not zero) it was acted on less than `cooldown` ago for another finding. The same finding may take it again under the same or
    /// a later epoch, never under an earlier one: a worker that wakes late shares nothing with the one that took over.
    fn enter(
        &self,
        key: &str,
        holder: &ClaimRef,
        now: i64,
        lease: Duration,
        cooldown: Duration,
    ) -> impl Future<Output = Result<Gate, CallError>> + Send;

    /// Gives the resource back; `acted` starts the cool-down. Does nothing if `holder`, under this epoch, does not have it.
    fn leave(
        &self,
        key: &str,
        holder: &ClaimRef,
        now: i64,
        acted: bool,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// The record of that key, read consistently.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Record>, CallError>> + Send;

    /// A page of records that match, at most `limit`; a page may be empty and still have a `next`.
    fn list(
        &self,
        filter: &Filter,
        limit: usize,
        next: Option<String>,
    ) -> impl Future<Output = Result<RecordPage, CallError>> + Send;

    /// Counts every finding by check and status, and names the latest expansions. Reads the whole table, once: for people, not for
    /// workers.
    fn census(&self) -> impl Future<Output = Result<Census, CallError>> + Send;
}
