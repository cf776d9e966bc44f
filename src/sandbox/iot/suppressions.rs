//! Audit finding suppressions: the rules, and their five operations.

use serde_json::{Map, Value, json};

use super::audits::require_check;
use super::call::{Call, page_reply, seconds};
use super::error::IotError;
use super::fleet::Fleet;
use super::identifiers::{check_resource_identifier, check_token};

/// botocore, `AuditDescription`.
const MAX_DESCRIPTION: usize = 1000;

/// A defect that is known and accepted: its findings are marked and get no mitigation.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// The check.
    pub check_name: String,
    /// The resource, exactly.
    pub resource_identifier: Value,
    /// Until when, epoch milliseconds; `None` is for ever.
    pub expires_ms: Option<i64>,
    /// Why.
    pub description: Option<String>,
}

impl Suppression {
    fn to_json(&self) -> Value {
        let mut shown = json!({
            "checkName": self.check_name,
            "resourceIdentifier": self.resource_identifier,
            "suppressIndefinitely": self.expires_ms.is_none(),
        });
        if let Some(expires) = self.expires_ms {
            shown["expirationDate"] = seconds(expires);
        }
        if let Some(description) = &self.description {
            shown["description"] = json!(description);
        }
        shown
    }
}

impl Fleet {
    /// Whether findings of this check on this resource are suppressed now.
    pub(super) fn suppressed(&self, check: &str, identifier: &Value) -> bool {
        self.defender.suppressions.iter().any(|suppression| {
            suppression.check_name == check
                && suppression.resource_identifier == *identifier
                && suppression.expires_ms.is_none_or(|expires| expires > self.now_ms())
        })
    }

    fn suppression_at(&self, check: &str, identifier: &Value) -> Option<usize> {
        self.defender
            .suppressions
            .iter()
            .position(|known| known.check_name == check && known.resource_identifier == *identifier)
    }

    /// `CreateAuditSuppression`: either until a time or for ever.
    pub fn create_suppression(
        &mut self,
        check: &str,
        identifier: &Value,
        expires_ms: Option<i64>,
        indefinitely: bool,
        description: Option<&str>,
    ) -> Result<(), IotError> {
        require_check(check)?;
        check_resource_identifier(identifier)?;
        check_description(description)?;
        if expires_ms.is_some() == indefinitely {
            return Err(IotError::invalid("give expirationDate or suppressIndefinitely, one of them"));
        }
        if self.suppression_at(check, identifier).is_some() {
            return Err(IotError::exists("An audit suppression for this check and resource already exists"));
        }
        self.defender.suppressions.push(Suppression {
            check_name: check.to_owned(),
            resource_identifier: identifier.clone(),
            expires_ms,
            description: description.map(str::to_owned),
        });
        Ok(())
    }
}

fn check_description(description: Option<&str>) -> Result<(), IotError> {
    match description {
        Some(text) if text.chars().count() > MAX_DESCRIPTION => {
            Err(IotError::invalid(format!("description must have at most {MAX_DESCRIPTION} characters")))
        }
        _ => Ok(()),
    }
}

fn key(call: &Call) -> Result<(&str, &Value), IotError> {
    let identifier =
        call.member("resourceIdentifier").ok_or_else(|| IotError::invalid("resourceIdentifier is required"))?;
    let check = call.required_text("checkName")?;
    require_check(check)?;
    check_resource_identifier(identifier)?;
    Ok((check, identifier))
}

fn existing(fleet: &Fleet, call: &Call) -> Result<usize, IotError> {
    let (check, identifier) = key(call)?;
    fleet
        .suppression_at(check, identifier)
        .ok_or_else(|| IotError::not_found(format!("There is no audit suppression of {check} for this resource")))
}

pub(super) fn create_audit_suppression(fleet: &mut Fleet, call: &Call) -> Result<Value, IotError> {
    let (check, identifier) = key(call)?;
    let indefinitely = call.flag("suppressIndefinitely")?.unwrap_or(false);
    let token = call.required_text("clientRequestToken")?;
    check_token(token)?;
    // "If you try to create a new audit suppression with the same token as one that already exists, an exception occurs"
    // (botocore); for the same suppression that is the one about its existing.
    let own = format!("{check} {identifier}");
    if fleet.defender.suppression_tokens.get(token).is_some_and(|used| *used != own) {
        return Err(IotError::invalid("the clientRequestToken was used for another audit suppression"));
    }
    fleet.create_suppression(
        check,
        identifier,
        call.time_ms("expirationDate")?,
        indefinitely,
        call.text("description")?,
    )?;
    fleet.defender.suppression_tokens.insert(token.to_owned(), own);
    Ok(json!({}))
}

pub(super) fn describe_audit_suppression(fleet: &mut Fleet, call: &Call) -> Result<Value, IotError> {
    let at = existing(fleet, call)?;
    Ok(fleet.defender.suppressions[at].to_json())
}

/// What is not given stays; an expiration date ends an indefinite suppression.
pub(super) fn update_audit_suppression(fleet: &mut Fleet, call: &Call) -> Result<Value, IotError> {
    let at = existing(fleet, call)?;
    let (expires, indefinitely) = (call.time_ms("expirationDate")?, call.flag("suppressIndefinitely")?);
    let description = call.text("description")?;
    check_description(description)?;
    let suppression = &mut fleet.defender.suppressions[at];
    match (expires, indefinitely) {
        (Some(_), Some(true)) => {
            return Err(IotError::invalid("give expirationDate or suppressIndefinitely, one of them"));
        }
        (None, Some(false)) if suppression.expires_ms.is_none() => {
            return Err(IotError::invalid("a suppression that is not indefinite needs an expirationDate"));
        }
        (Some(expires), _) => suppression.expires_ms = Some(expires),
        (None, Some(true)) => suppression.expires_ms = None,
        (None, _) => {}
    }
    if let Some(description) = description {
        suppression.description = Some(description.to_owned());
    }
    Ok(json!({}))
}

pub(super) fn delete_audit_suppression(fleet: &mut Fleet, call: &Call) -> Result<Value, IotError> {
    let (check, identifier) = key(call)?;
    if let Some(at) = fleet.suppression_at(check, identifier) {
        fleet.defender.suppressions.remove(at);
    }
    Ok(Value::Object(Map::new()))
}

/// By expiration date, the earliest first unless `ascendingOrder` is false; what never expires comes after all that does.
pub(super) fn list_audit_suppressions(fleet: &mut Fleet, call: &Call) -> Result<Value, IotError> {
    let (check, identifier) = (call.text("checkName")?, call.member("resourceIdentifier"));
    let ascending = call.flag("ascendingOrder")?.unwrap_or(true);
    let mut suppressions: Vec<&Suppression> = fleet.defender.suppressions.iter().collect();
    suppressions.sort_by_key(|suppression| suppression.expires_ms.unwrap_or(i64::MAX));
    if !ascending {
        suppressions.reverse();
    }
    let wanted = |suppression: &&Suppression| {
        check.is_none_or(|check| suppression.check_name == check)
            && identifier.is_none_or(|identifier| suppression.resource_identifier == *identifier)
    };
    let page = call.body_page()?.of_sequence(&suppressions, wanted, |suppression| suppression.to_json())?;
    Ok(page_reply("suppressions", page, "nextToken"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: Value) -> Call {
        Call { body: body.as_object().cloned().unwrap_or_default(), ..Call::default() }
    }

    fn fleet() -> Fleet {
        Fleet::new("123456789012", "us-east-1", 1, 1_791_000_000_000)
    }

    fn suppression(client: &str, token: &str, expires: Option<f64>) -> Call {
        let mut body = json!({
            "checkName": "CONFLICTING_CLIENT_IDS_CHECK",
            "resourceIdentifier": { "clientId": client },
            "clientRequestToken": token,
        });
        match expires {
            Some(seconds) => body["expirationDate"] = json!(seconds),
            None => body["suppressIndefinitely"] = json!(true),
        }
        call(body)
    }

    #[test]
    fn suppressions_are_listed_by_expiration_date_either_way() {
        let mut fleet = fleet();
        for (client, expires) in [("a", None), ("b", Some(1.9e9)), ("c", Some(1.8e9))] {
            create_audit_suppression(&mut fleet, &suppression(client, client, expires)).unwrap();
        }
        let mut listed = |body: Value| {
            let reply = list_audit_suppressions(&mut fleet, &call(body)).unwrap();
            let clients = reply["suppressions"].as_array().unwrap().iter();
            clients.map(|one| one["resourceIdentifier"]["clientId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(listed(json!({})), ["c", "b", "a"]);
        assert_eq!(listed(json!({ "ascendingOrder": false })), ["a", "b", "c"]);
    }

    #[test]
    fn a_token_is_good_for_one_suppression() {
        let mut fleet = fleet();
        create_audit_suppression(&mut fleet, &suppression("a", "token", None)).unwrap();
        let again = create_audit_suppression(&mut fleet, &suppression("a", "token", None)).unwrap_err();
        assert_eq!(again.code, "ResourceAlreadyExistsException");
        let other = create_audit_suppression(&mut fleet, &suppression("b", "token", None)).unwrap_err();
        assert_eq!(other.code, "InvalidRequestException");
    }

    #[test]
    fn an_update_cannot_leave_a_suppression_without_an_end_unless_it_is_indefinite() {
        let mut fleet = fleet();
        create_audit_suppression(&mut fleet, &suppression("a", "token", None)).unwrap();
        let update = |fleet: &mut Fleet, change: Value| {
            let mut body = change;
            body["checkName"] = json!("CONFLICTING_CLIENT_IDS_CHECK");
            body["resourceIdentifier"] = json!({ "clientId": "a" });
            update_audit_suppression(fleet, &call(body)).map(|_| ()).map_err(|error| error.code)
        };
        assert_eq!(update(&mut fleet, json!({ "suppressIndefinitely": false })), Err("InvalidRequestException"));
        let both = json!({ "suppressIndefinitely": true, "expirationDate": 1.9e9 });
        assert_eq!(update(&mut fleet, both), Err("InvalidRequestException"));
        assert_eq!(update(&mut fleet, json!({ "suppressIndefinitely": false, "expirationDate": 1.9e9 })), Ok(()));
        assert_eq!(fleet.defender.suppressions[0].expires_ms, Some(1_900_000_000_000));
    }
}
