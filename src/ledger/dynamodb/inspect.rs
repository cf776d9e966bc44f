//! What the ledger's table is like, beyond whether it can serve: for people.

use super::item;
use super::table::{ATTENTION_INDEX, describe, unfit};
use crate::aws::{CallError, Effect, classify};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    BillingMode, IndexStatus, PointInTimeRecoveryStatus, ProjectionType, SseStatus, TableStatus, TimeToLiveStatus,
};

/// A table's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// Why its keys or its index cannot serve, in a sentence.
    pub unfit: Option<String>,
    /// It answers.
    pub active: bool,
    /// The index `attention` answers and holds every attribute.
    pub index_whole: bool,
    /// Billed by the request.
    pub on_demand: bool,
    /// It cannot be deleted before that is switched off.
    pub deletion_protection: bool,
    /// Encrypted with a key of KMS; otherwise with DynamoDB's own.
    pub own_key: bool,
    /// How items expire.
    pub time_to_live: Result<TimeToLive, CallError>,
    /// Whether it can be restored to a moment of the last 35 days.
    pub point_in_time_recovery: Result<bool, CallError>,
}

/// How items of a table expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeToLive {
    /// By the ledger's attribute.
    On,
    /// Not at all.
    Off,
    /// By an attribute of this name, which the ledger does not write.
    ByOther(String),
}

/// Looks at the table; `None` if there is none. Reads only.
///
/// # Errors
/// Those of `DescribeTable`; the others are told in their places.
pub async fn inspect_table(client: &Client, table: &str) -> Result<Option<TableInfo>, CallError> {
    let Some(description) = describe(client, table).await? else { return Ok(None) };
    let (time_to_live, point_in_time_recovery) =
        tokio::join!(time_to_live(client, table), point_in_time_recovery(client, table));
    let index = description.global_secondary_indexes().iter().find(|index| index.index_name() == Some(ATTENTION_INDEX));
    let index_whole = index.is_some_and(|index| {
        let all = index.projection().and_then(|projection| projection.projection_type()) == Some(&ProjectionType::All);
        all && matches!(index.index_status(), Some(IndexStatus::Active | IndexStatus::Updating) | None)
    });
    let billing = description.billing_mode_summary().and_then(|summary| summary.billing_mode());
    let key = description.sse_description().and_then(|sse| sse.status());
    Ok(Some(TableInfo {
        unfit: unfit(table, &description).err(),
        active: matches!(description.table_status(), Some(TableStatus::Active | TableStatus::Updating) | None),
        index_whole,
        on_demand: billing == Some(&BillingMode::PayPerRequest),
        deletion_protection: description.deletion_protection_enabled().unwrap_or(false),
        own_key: matches!(key, Some(SseStatus::Enabled | SseStatus::Updating)),
        time_to_live,
        point_in_time_recovery,
    }))
}

async fn time_to_live(client: &Client, table: &str) -> Result<TimeToLive, CallError> {
    let answer = client.describe_time_to_live().table_name(table).send().await;
    let answer = answer.map_err(|error| classify("DescribeTimeToLive", Effect::Read, error))?;
    let Some(description) = answer.time_to_live_description() else { return Ok(TimeToLive::Off) };
    Ok(match (description.time_to_live_status(), description.attribute_name()) {
        (Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling), Some(item::EXPIRES_AT)) => TimeToLive::On,
        (Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling), other) => {
            TimeToLive::ByOther(other.unwrap_or("another attribute").to_owned())
        }
        _ => TimeToLive::Off,
    })
}

async fn point_in_time_recovery(client: &Client, table: &str) -> Result<bool, CallError> {
    let answer = client.describe_continuous_backups().table_name(table).send().await;
    let answer = answer.map_err(|error| classify("DescribeContinuousBackups", Effect::Read, error))?;
    let backups = answer.continuous_backups_description();
    let status = backups.and_then(|backups| backups.point_in_time_recovery_description());
    Ok(status.and_then(|status| status.point_in_time_recovery_status()) == Some(&PointInTimeRecoveryStatus::Enabled))
}
