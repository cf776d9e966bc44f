//! The port on one table: renewals, records and finishes; claims, resources and lists are in files of their own.

use super::batch::{self, Outcome};
use super::item::{self, n, s};
use super::statements::Statement;
use super::{claims, listing, resources};
use crate::aws::{CallError, Effect, classify};
use crate::ledger::transition::{after, expiry_of};
use crate::ledger::{
    Census, ClaimOutcome, ClaimRef, ClaimRequest, Filter, Finish, Gate, Ledger, Record, RecordPage, Recording, Status,
    WriteError,
};
use aws_sdk_dynamodb::Client;
use std::time::Duration;

/// The ledger in a DynamoDB table that [`super::create_table`] made. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DynamoLedger {
    pub(super) client: Client,
    pub(super) table: String,
}

impl DynamoLedger {
    /// The ledger in `table`; nothing is called yet.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    async fn write(&self, statements: Vec<Statement>) -> Result<Vec<Result<(), WriteError>>, CallError> {
        let outcomes = batch::execute(&self.client, statements).await?;
        let results = outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Done => Ok(()),
            Outcome::Refused(_) => Err(WriteError::LostClaim),
            Outcome::Failed(error) => Err(WriteError::Call(error)),
        });
        Ok(results.collect())
    }
}

impl Ledger for DynamoLedger {
    async fn claim(
        &self,
        requests: &[ClaimRequest],
        owner: &str,
        now: i64,
        lease: Duration,
    ) -> Result<Vec<Result<ClaimOutcome, CallError>>, CallError> {
        claims::claim(self, requests, owner, now, lease).await
    }

    async fn renew(
        &self,
        claims: &[ClaimRef],
        now: i64,
        lease: Duration,
    ) -> Result<Vec<Result<(), WriteError>>, CallError> {
        batch::check(claims.iter().map(|claim| claim.key.as_str()))?;
        let statements = claims.iter().map(|claim| {
            let changes = vec![
                (item::LEASE_UNTIL, Some(n(after(now, lease)))),
                (item::UPDATED_AT, Some(n(now))),
                (item::EXPIRES_AT, Some(n(expiry_of(&claim.key, now)))),
            ];
            Statement::update(&self.table, &claim.key, changes, held_by(claim))
        });
        self.write(statements.collect()).await
    }

    async fn record(
        &self,
        recordings: &[Recording],
        now: i64,
        lease: Duration,
    ) -> Result<Vec<Result<(), WriteError>>, CallError> {
        batch::check(recordings.iter().map(|recording| recording.claim.key.as_str()))?;
        let statements = recordings.iter().map(|Recording { claim, steps, cursor }| {
            let changes = vec![
                (item::STEPS, Some(s(item::steps_text("BatchExecuteStatement", steps)?))),
                (item::CURSOR, cursor.as_ref().map(s)),
                (item::LEASE_UNTIL, Some(n(after(now, lease)))),
                (item::UPDATED_AT, Some(n(now))),
                (item::EXPIRES_AT, Some(n(expiry_of(&claim.key, now)))),
            ];
            Ok(Statement::update(&self.table, &claim.key, changes, held_by(claim)))
        });
        self.write(statements.collect::<Result<_, CallError>>()?).await
    }

    async fn finish(&self, finishes: &[Finish], now: i64) -> Result<Vec<Result<(), WriteError>>, CallError> {
        batch::check(finishes.iter().map(|finish| finish.claim.key.as_str()))?;
        let statements = finishes.iter().map(|finish| {
            let steps = item::steps_text("BatchExecuteStatement", &finish.steps)?;
            let changes = vec![
                (item::STATUS, Some(s(finish.status.as_str()))),
                (item::ATTEMPTS, Some(n(finish.attempts))),
                (item::DETAIL, Some(s(&finish.detail))),
                (item::STEPS, Some(s(steps))),
                (item::UPDATED_AT, Some(n(now))),
                (item::EXPIRES_AT, Some(n(expiry_of(&finish.claim.key, now)))),
                (item::RETRY_AT, finish.retry_at.map(n)),
                (item::RULE, finish.rule.as_ref().map(s)),
                (item::ATTENTION, finish.status.needs_attention().then(|| s(finish.status.as_str()))),
            ];
            let conditions = vec![(item::EPOCH, n(finish.claim.epoch))];
            // A finish that is repeated after a lost reply meets its own status; an end that says something else comes too late.
            let held_or_repeated = [s(Status::Claimed.as_str()), s(finish.status.as_str())];
            let statement = Statement::update(&self.table, &finish.claim.key, changes, conditions);
            Ok(statement.and_either(item::STATUS, held_or_repeated))
        });
        self.write(statements.collect::<Result<_, CallError>>()?).await
    }

    async fn enter(
        &self,
        key: &str,
        holder: &ClaimRef,
        now: i64,
        lease: Duration,
        cooldown: Duration,
    ) -> Result<Gate, CallError> {
        resources::enter(self, key, holder, now, lease, cooldown).await
    }

    async fn leave(&self, key: &str, holder: &ClaimRef, now: i64, acted: bool) -> Result<(), CallError> {
        resources::leave(self, key, holder, now, acted).await
    }

    async fn get(&self, key: &str) -> Result<Option<Record>, CallError> {
        const OPERATION: &str = "GetItem";
        let call = self.client.get_item().table_name(&self.table).key(item::ID, s(key)).consistent_read(true);
        let answer = call.send().await.map_err(|error| classify(OPERATION, Effect::Read, error))?;
        answer.item.map(|item| item::record(OPERATION, &item)).transpose()
    }

    async fn list(&self, filter: &Filter, limit: usize, next: Option<String>) -> Result<RecordPage, CallError> {
        listing::list(self, filter, limit, next).await
    }

    async fn census(&self) -> Result<Census, CallError> {
        listing::census(self).await
    }
}

/// The conditions under which a claim is still its holder's (P3).
fn held_by(claim: &ClaimRef) -> Vec<(&'static str, aws_sdk_dynamodb::types::AttributeValue)> {
    vec![(item::EPOCH, n(claim.epoch)), (item::STATUS, s(Status::Claimed.as_str()))]
}
