//! Mitigation actions: what they are, and what each does to one finding. `mitigation_task.rs` and `mitigation_run.rs` apply
//! them.

use serde_json::{Value, json};

use super::certificates::CertificateStatus;
use super::checks::INTERMEDIATE_CA_CHECK;
use super::defender::Finding;
use super::error::IotError;
use super::fleet::Fleet;
use super::identifiers::{check_identifier, check_role_arn};

/// AWS General Reference, Device Defender limits.
const MAX_ACTIONS: usize = 100;

/// The document of the template `BLANK_POLICY`: it allows nothing. (AWS's own text is not public.)
pub const BLANK_POLICY: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;

/// A member of `actionParams` and the action type that it stands for.
const ACTION_TYPES: [(&str, &str); 6] = [
    ("updateDeviceCertificateParams", "UPDATE_DEVICE_CERTIFICATE"),
    ("updateCACertificateParams", "UPDATE_CA_CERTIFICATE"),
    ("addThingsToThingGroupParams", "ADD_THINGS_TO_THING_GROUP"),
    ("replaceDefaultPolicyVersionParams", "REPLACE_DEFAULT_POLICY_VERSION"),
    ("enableIoTLoggingParams", "ENABLE_IOT_LOGGING"),
    ("publishFindingToSnsParams", "PUBLISH_FINDING_TO_SNS"),
];

/// A mitigation action of the account.
#[derive(Clone, Debug)]
pub struct MitigationAction {
    /// Its name.
    pub name: String,
    /// Its immutable id (a UUID).
    pub id: String,
    /// The role it runs with.
    pub role_arn: String,
    /// The API's `actionParams`: one member, by type.
    pub params: Value,
    /// Created at, epoch milliseconds.
    pub created_ms: i64,
    /// Last change, epoch milliseconds.
    pub modified_ms: i64,
}

impl MitigationAction {
    /// `UPDATE_DEVICE_CERTIFICATE` and so on.
    pub fn action_type(&self) -> &'static str {
        action_type(&self.params).unwrap_or_default()
    }
}

fn action_type(params: &Value) -> Option<&'static str> {
    let member = params.as_object().filter(|params| params.len() == 1)?.keys().next()?;
    ACTION_TYPES.iter().find(|(name, _)| name == member).map(|(_, kind)| *kind)
}

/// What one action on one finding comes to.
pub(super) enum Step {
    Done(Result<(), IotError>),
    Publish { topic_arn: String, message: String },
}

impl Fleet {
    /// `CreateMitigationAction`.
    pub fn create_mitigation_action(
        &mut self,
        name: &str,
        role_arn: &str,
        params: &Value,
    ) -> Result<&MitigationAction, IotError> {
        check_identifier("actionName", name)?;
        check_role_arn("roleArn", role_arn)?;
        check_params(params)?;
        if self.defender.actions.contains_key(name) {
            return Err(IotError::exists(format!("Mitigation action {name} already exists")));
        }
        if self.defender.actions.len() >= MAX_ACTIONS {
            return Err(IotError::limit(format!(
                "the account has {MAX_ACTIONS} mitigation actions, which is the limit"
            )));
        }
        let action = MitigationAction {
            name: name.to_owned(),
            id: self.new_uuid(),
            role_arn: role_arn.to_owned(),
            params: params.clone(),
            created_ms: self.now_ms(),
            modified_ms: self.now_ms(),
        };
        Ok(self.defender.actions.entry(name.to_owned()).or_insert(action))
    }

    /// `UpdateMitigationAction`: what is not given stays; the type cannot change (UNCONFIRMED: the guide says nothing of
    /// changing it). Tasks that have started keep the action as it was.
    pub fn update_mitigation_action(
        &mut self,
        name: &str,
        role_arn: Option<&str>,
        params: Option<&Value>,
    ) -> Result<&MitigationAction, IotError> {
        let now = self.now_ms();
        let kind = self.mitigation_action(name)?.action_type();
        if let Some(role_arn) = role_arn {
            check_role_arn("roleArn", role_arn)?;
        }
        if let Some(params) = params
            && check_params(params)? != kind
        {
            return Err(IotError::invalid(format!(
                "Mitigation action {name} is of type {kind}, which cannot be changed"
            )));
        }
        if let Some(action) = self.defender.actions.get_mut(name) {
            if let Some(role_arn) = role_arn {
                role_arn.clone_into(&mut action.role_arn);
            }
            if let Some(params) = params {
                action.params = params.clone();
            }
            action.modified_ms = now;
        }
        self.mitigation_action(name)
    }

    /// `DescribeMitigationAction`.
    pub fn mitigation_action(&self, name: &str) -> Result<&MitigationAction, IotError> {
        self.defender
            .actions
            .get(name)
            .ok_or_else(|| IotError::not_found(format!("Mitigation action {name} does not exist")))
    }

    /// Applies one action to one finding, except publishing, which is the service's to do.
    pub(super) fn mitigate(&mut self, finding: &Finding, action: &MitigationAction) -> Step {
        let text = |member: &str, name: &str| action.params[member][name].as_str().unwrap_or_default().to_owned();
        let resource = &finding.resource;
        let result = match action.action_type() {
            "PUBLISH_FINDING_TO_SNS" => {
                let topic_arn = text("publishFindingToSnsParams", "topicArn");
                return Step::Publish { topic_arn, message: finding.to_sns() };
            }
            "UPDATE_DEVICE_CERTIFICATE" => device_certificates(finding).into_iter().try_for_each(|id| {
                // Deactivating what is no longer active would be no mitigation. One that is gone is an error.
                match self.certificate(id)?.status {
                    CertificateStatus::Active => self.update_certificate(id, "INACTIVE"),
                    _ => Ok(()),
                }
            }),
            "UPDATE_CA_CERTIFICATE" => {
                let id = resource.identifier("caCertificateId").unwrap_or_default();
                self.update_ca_certificate(id, Some("INACTIVE"), None)
            }
            "ADD_THINGS_TO_THING_GROUP" => self.quarantine(finding, &action.params["addThingsToThingGroupParams"]),
            "REPLACE_DEFAULT_POLICY_VERSION" => {
                let policy = &resource.identifier["policyVersionIdentifier"]["policyName"];
                // As AWS's role permission has it: a version is added, none is removed.
                self.create_policy_version(policy.as_str().unwrap_or_default(), BLANK_POLICY, true).map(|_| ())
            }
            "ENABLE_IOT_LOGGING" => self.set_logging(
                Some(&text("enableIoTLoggingParams", "roleArnForLogging")),
                Some(&text("enableIoTLoggingParams", "logLevel")),
                Some(false),
            ),
            other => Err(IotError::invalid(format!("the sandbox does not run mitigation actions of type {other:?}"))),
        };
        Step::Done(result)
    }

    fn quarantine(&mut self, finding: &Finding, params: &Value) -> Result<(), IotError> {
        let groups = super::call::strings("thingGroupNames", &params["thingGroupNames"])?;
        for id in device_certificates(finding) {
            let arn = self.arn("cert", id);
            for thing in self.things_of_principal(&arn)? {
                for group in &groups {
                    self.add_thing_to_group(&thing, group)?;
                }
            }
        }
        Ok(())
    }
}

/// The device certificates that a finding is about: its own resource, or those that a revoked intermediate CA issued.
fn device_certificates(finding: &Finding) -> Vec<&str> {
    let related = finding.related.iter().filter(|_| finding.check_name == INTERMEDIATE_CA_CHECK);
    let resources = std::iter::once(&finding.resource).chain(related);
    resources.filter_map(|resource| resource.identifier("deviceCertificateId")).collect()
}

/// The type of the action that the params describe, if they are complete.
fn check_params(params: &Value) -> Result<&'static str, IotError> {
    let kind = action_type(params).ok_or_else(|| {
        let known = ACTION_TYPES.map(|(member, _)| member).join(", ");
        IotError::invalid(format!("actionParams must have one member, of {known}"))
    })?;
    let wrong = |why: &str| Err(IotError::invalid(format!("actionParams of {kind}: {why}")));
    let inner = params.as_object().and_then(|params| params.values().next()).cloned().unwrap_or(json!({}));
    let text = |name: &str| inner[name].as_str().unwrap_or_default();
    match kind {
        "UPDATE_DEVICE_CERTIFICATE" | "UPDATE_CA_CERTIFICATE" if text("action") != "DEACTIVATE" => {
            wrong("action must be DEACTIVATE")
        }
        "ADD_THINGS_TO_THING_GROUP"
            if !inner["thingGroupNames"]
                .as_array()
                .is_some_and(|names| (1..=10).contains(&names.len()) && names.iter().all(Value::is_string)) =>
        {
            wrong("thingGroupNames must name 1 to 10 groups")
        }
        "REPLACE_DEFAULT_POLICY_VERSION" if text("templateName") != "BLANK_POLICY" => {
            wrong("templateName must be BLANK_POLICY")
        }
        "ENABLE_IOT_LOGGING" => {
            check_role_arn("roleArnForLogging", text("roleArnForLogging"))?;
            // The API's enumeration has DISABLED too, which would enable nothing (developer guide, mitigation actions).
            match text("logLevel") {
                "ERROR" | "WARN" | "INFO" | "DEBUG" => Ok(kind),
                _ => wrong("logLevel must be ERROR, WARN, INFO or DEBUG"),
            }
        }
        "PUBLISH_FINDING_TO_SNS" if !(1..=350).contains(&text("topicArn").len()) => {
            wrong("topicArn must be the ARN of a topic, of at most 350 characters")
        }
        _ => Ok(kind),
    }
}
