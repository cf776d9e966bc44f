//! `fleetwarden actions list`, `show` and `delete`.

use super::command::{action_name, console, failed};
use super::create::read;
use super::params::{checks_of, params_json, rows};
use crate::aws::Class;
use crate::cli::ask::agreed;
use crate::cli::bar::Bar;
use crate::cli::{CliError, OutputFormat, print};
use crate::defender::console::{ActionName, Console, MitigationAction};
use crate::finding::{ActionType, catalogue};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What `actions list` shows of an action: `None` is a type that this version does not know.
type Listed = (ActionName, Option<ActionType>);

/// Lists actions by name, with the checks that each fits.
pub(super) async fn list(kind: Option<ActionType>, output: OutputFormat) -> Result<(), CliError> {
    let console = console().await?;
    let mut bar = Bar::new("calls made");
    let listed = typed(&console, kind, &mut bar).await;
    bar.clear();
    let listed = listed?;
    match output {
        OutputFormat::Json => print::json(&listed.iter().map(listed_json).collect()),
        OutputFormat::Table => {
            if !listed.is_empty() {
                let mut table = print::table(&["action", "type", "created (UTC)", "fits findings of"]);
                for (action, kind) in &listed {
                    table.add_row([
                        action.name.clone(),
                        kind.map_or("unknown to this version", ActionType::as_str).to_owned(),
                        print::moment(action.created_at),
                        fits(*kind, "\n"),
                    ]);
                }
                print::line(&table.to_string());
            }
            let noun = if listed.len() == 1 { "action" } else { "actions" };
            print::line(&format!("{} mitigation {noun}", listed.len()));
        }
    }
    Ok(())
}

/// The actions with their types. A list does not tell them, so either each action is asked for, or there is a list for each type:
/// whatever takes fewer calls, of which one may make two a second.
async fn typed(console: &Console, kind: Option<ActionType>, bar: &mut Bar) -> Result<Vec<Listed>, CliError> {
    let actions = console.actions(kind).await.map_err(|error| failed(&error))?;
    if let Some(kind) = kind {
        return Ok(actions.into_iter().map(|action| (action, Some(kind))).collect());
    }
    let mut kinds: BTreeMap<String, ActionType> = BTreeMap::new();
    if actions.len() < ActionType::ALL.len() {
        for (done, action) in actions.iter().enumerate() {
            bar.at(done as u64, actions.len() as u64);
            match console.action(&action.name).await {
                Ok(found) => kinds.extend(found.params.action_type().map(|kind| (found.name, kind))),
                // Deleted meanwhile.
                Err(error) if error.class == Class::Gone => {}
                Err(error) => return Err(failed(&error)),
            }
        }
    } else {
        for (done, kind) in ActionType::ALL.into_iter().enumerate() {
            bar.at(done as u64, ActionType::ALL.len() as u64);
            let of_kind = console.actions(Some(kind)).await.map_err(|error| failed(&error))?;
            kinds.extend(of_kind.into_iter().map(|action| (action.name, kind)));
        }
    }
    let kind = |action: &ActionName| kinds.get(&action.name).copied();
    Ok(actions.into_iter().map(|action| (action.clone(), kind(&action))).collect())
}

/// The checks in words.
fn fits(kind: Option<ActionType>, between: &str) -> String {
    match checks_of(kind) {
        checks if checks.is_empty() => "-".to_owned(),
        checks if checks.len() == catalogue::CHECKS.len() => "every check".to_owned(),
        checks => checks.join(between),
    }
}

fn listed_json((action, kind): &Listed) -> Value {
    json!({
        "name": action.name,
        "type": kind.map(ActionType::as_str),
        "createdAt": time(action.created_at),
        "checks": checks_of(*kind),
    })
}

/// Shows one action.
pub(super) async fn show(name: &str, output: OutputFormat) -> Result<(), CliError> {
    action_name(name).map_err(CliError::Usage)?;
    let action = read(&console().await?, name).await?;
    match output {
        OutputFormat::Json => print::json(&action_json(&action)),
        OutputFormat::Table => print_action(&action),
    }
    Ok(())
}

/// Deletes one action, after asking.
pub(super) async fn delete(name: &str, yes: bool, output: OutputFormat) -> Result<(), CliError> {
    action_name(name).map_err(CliError::Usage)?;
    let console = console().await?;
    let action = read(&console, name).await?;
    if !yes && output == OutputFormat::Table {
        print_action(&action);
    }
    agreed(yes, &format!("Delete the action {name}?")).await?;
    console.delete_action(name).await.map_err(|error| failed(&error))?;
    match output {
        OutputFormat::Json => print::json(&json!({ "name": name, "outcome": "deleted" })),
        OutputFormat::Table => print::line(&format!("{name} deleted")),
    }
    Ok(())
}

/// One action for people.
pub(super) fn print_action(action: &MitigationAction) {
    let mut table = print::table(&["action", &action.name]);
    let mut add = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    add("type", action.params.type_name().to_owned());
    for (name, value) in rows(&action.params) {
        add(name, value);
    }
    add("role", action.role_arn.clone());
    add("fits findings of", fits(action.params.action_type(), "\n"));
    add("ARN", action.arn.clone().unwrap_or_else(|| "-".to_owned()));
    add("created (UTC)", print::moment(action.created_at));
    add("changed (UTC)", print::moment(action.modified_at));
    print::line(&table.to_string());
}

/// One action for programs.
pub(super) fn action_json(action: &MitigationAction) -> Value {
    json!({
        "name": action.name,
        "type": action.params.type_name(),
        "params": params_json(&action.params),
        "roleArn": action.role_arn,
        "arn": action.arn,
        "id": action.id,
        "createdAt": time(action.created_at),
        "modifiedAt": time(action.modified_at),
        "checks": checks_of(action.params.action_type()),
    })
}

/// A moment for programs.
pub(super) fn time(ms: Option<i64>) -> Value {
    ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).map_or(Value::Null, |at| json!(at.to_string()))
}
