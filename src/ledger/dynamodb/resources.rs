//! One finding at a time on a resource, and none inside the cool-down of another's action.
//!
//! The item `resource#<key>`: `holder`, its `epoch` and `lease_until` while a finding works on it; `acted_by` and `acted_at` once one changed it;
//! `recurrences` counts the findings that came inside the cool-down, each once in a row (`last_recurrence` is the latest).

use super::adapter::DynamoLedger;
use super::item::{EPOCH, EXPIRES_AT, ID, LEASE_UNTIL, UPDATED_AT, n, number_of, s, text_of};
use crate::aws::{CallError, Class, Effect, classify};
use crate::ledger::transition::{after, expiry};
use crate::ledger::{ClaimRef, Gate};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use std::time::Duration;

const OPERATION: &str = "UpdateItem";
const HOLDER: &str = "holder";
const ACTED_BY: &str = "acted_by";
const ACTED_AT: &str = "acted_at";
const PREFIX: &str = "resource#";

pub(super) async fn enter(
    ledger: &DynamoLedger,
    key: &str,
    holder: &ClaimRef,
    now: i64,
    lease: Duration,
    cooldown: Duration,
) -> Result<Gate, CallError> {
    // Acted on at this moment or before: the cool-down is over.
    let cooled = now.saturating_sub(i64::try_from(cooldown.as_millis()).unwrap_or(i64::MAX));
    let free = "(attribute_not_exists(#holder) OR (#holder = :holder AND #epoch <= :epoch) OR #lease <= :now)";
    let cool = "(attribute_not_exists(#by) OR #by = :holder OR #at <= :cooled)";
    let mut call = ledger
        .client
        .update_item()
        .table_name(&ledger.table)
        .key(ID, s(id(key)))
        .update_expression(
            "SET #holder = :holder, #epoch = :epoch, #lease = :until, #updated = :now, #expires = :expires",
        )
        .expression_attribute_names("#holder", HOLDER)
        .expression_attribute_names("#epoch", EPOCH)
        .expression_attribute_names("#lease", LEASE_UNTIL)
        .expression_attribute_names("#updated", UPDATED_AT)
        .expression_attribute_names("#expires", EXPIRES_AT)
        .expression_attribute_values(":holder", s(&holder.key))
        .expression_attribute_values(":epoch", n(holder.epoch))
        .expression_attribute_values(":until", n(after(now, lease)))
        .expression_attribute_values(":now", n(now))
        .expression_attribute_values(":expires", n(expiry(now)))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    call = if cooldown.is_zero() {
        call.condition_expression(free)
    } else {
        call.condition_expression(format!("{free} AND {cool}"))
            .expression_attribute_names("#by", ACTED_BY)
            .expression_attribute_names("#at", ACTED_AT)
            .expression_attribute_values(":cooled", n(cooled))
    };
    let item = match call.send().await {
        Ok(_) => return Ok(Gate::Open),
        Err(SdkError::ServiceError(refusal)) if refusal.err().is_conditional_check_failed_exception() => {
            match refusal.into_err() {
                UpdateItemError::ConditionalCheckFailedException(refusal) => refusal.item,
                _ => None,
            }
        }
        Err(error) => return Err(classify(OPERATION, Effect::Write, error)),
    };
    let item = match item.filter(|item| !item.is_empty()) {
        Some(item) => item,
        None => read(ledger, key).await?,
    };
    let lease_until = number_of(&item, LEASE_UNTIL).unwrap_or(i64::MIN);
    let later = number_of(&item, EPOCH).is_some_and(|epoch| epoch > i64::try_from(holder.epoch).unwrap_or(i64::MAX));
    if text_of(&item, HOLDER).is_some_and(|other| other != holder.key || later) && lease_until > now {
        return Ok(Gate::Busy { until: lease_until });
    }
    match (text_of(&item, ACTED_BY), number_of(&item, ACTED_AT)) {
        (Some(by), Some(at)) if by != holder.key && !cooldown.is_zero() && at > cooled => {
            count_recurrence(ledger, key, &holder.key, now).await?;
            Ok(Gate::CoolingDown { by: by.to_owned(), at })
        }
        // It was let go between the refusal and the read.
        _ => Ok(Gate::Busy { until: now }),
    }
}

pub(super) async fn leave(
    ledger: &DynamoLedger,
    key: &str,
    holder: &ClaimRef,
    now: i64,
    acted: bool,
) -> Result<(), CallError> {
    let mut call = ledger
        .client
        .update_item()
        .table_name(&ledger.table)
        .key(ID, s(id(key)))
        .condition_expression("#holder = :holder AND #epoch = :epoch")
        .expression_attribute_names("#holder", HOLDER)
        .expression_attribute_names("#epoch", EPOCH)
        .expression_attribute_names("#lease", LEASE_UNTIL)
        .expression_attribute_names("#updated", UPDATED_AT)
        .expression_attribute_names("#expires", EXPIRES_AT)
        .expression_attribute_values(":holder", s(&holder.key))
        .expression_attribute_values(":epoch", n(holder.epoch))
        .expression_attribute_values(":now", n(now))
        .expression_attribute_values(":expires", n(expiry(now)));
    call = if acted {
        call.update_expression(
            "SET #by = :holder, #at = :now, #updated = :now, #expires = :expires REMOVE #holder, #epoch, #lease",
        )
        .expression_attribute_names("#by", ACTED_BY)
        .expression_attribute_names("#at", ACTED_AT)
    } else {
        call.update_expression("SET #updated = :now, #expires = :expires REMOVE #holder, #epoch, #lease")
    };
    settled(call.send().await.map(|_| ()))
}

/// Counts `holder` as a recurrence, unless it is the latest counted one: a redelivery of one finding is no recurrence.
async fn count_recurrence(ledger: &DynamoLedger, key: &str, holder: &str, now: i64) -> Result<(), CallError> {
    let call = ledger
        .client
        .update_item()
        .table_name(&ledger.table)
        .key(ID, s(id(key)))
        .condition_expression("attribute_not_exists(#last) OR #last <> :holder")
        .update_expression("SET #last = :holder, #updated = :now ADD #count :one")
        .expression_attribute_names("#last", "last_recurrence")
        .expression_attribute_names("#updated", UPDATED_AT)
        .expression_attribute_names("#count", "recurrences")
        .expression_attribute_values(":holder", s(holder))
        .expression_attribute_values(":now", n(now))
        .expression_attribute_values(":one", n(1));
    settled(call.send().await.map(|_| ()))
}

/// A write for which a condition that does not hold means that there is nothing to do.
fn settled(
    result: Result<(), SdkError<UpdateItemError, aws_smithy_runtime_api::client::orchestrator::HttpResponse>>,
) -> Result<(), CallError> {
    match result {
        Err(SdkError::ServiceError(refusal)) if refusal.err().is_conditional_check_failed_exception() => Ok(()),
        other => other.map_err(|error| classify(OPERATION, Effect::Write, error)),
    }
}

async fn read(ledger: &DynamoLedger, key: &str) -> Result<super::item::Item, CallError> {
    let call = ledger.client.get_item().table_name(&ledger.table).key(ID, s(id(key))).consistent_read(true);
    let answer = call.send().await.map_err(|error| classify("GetItem", Effect::Read, error))?;
    answer.item.ok_or_else(|| CallError::new(Class::Transient, "GetItem", "the item expired between write and read"))
}

/// The item's key: the caller may name the resource with or without its prefix.
fn id(key: &str) -> String {
    if key.starts_with(PREFIX) { key.to_owned() } else { format!("{PREFIX}{key}") }
}
