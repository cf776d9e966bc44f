//! Suppressions: defects that are known and accepted. Findings of later audits are marked, and get no mitigation.

use super::Console;
use super::resource_text::Meant;
use super::schedules::is_there_already;
use crate::aws::{CallError, Class, Effect, classify};
use crate::finding::{ResourceIdentifier, catalogue};
use crate::mitigation::identifier_of;
use aws_sdk_iot::types::{self, AuditSuppression, IssuerCertificateIdentifier, PolicyVersionIdentifier};
use aws_smithy_types::DateTime;

/// The most that `--why` may have (API reference, `AuditDescription`).
const WHY: usize = 1000;

/// How long a suppression holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until then, seconds since the epoch.
    Second(i64),
    /// Until somebody deletes it.
    Forever,
}

/// One suppression. A check and a resource have one at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// The check, by its modern name.
    pub check: String,
    /// The resource.
    pub resource: ResourceIdentifier,
    /// How long.
    pub until: Until,
    /// Why, in somebody's words.
    pub why: Option<String>,
}

/// Whether the API takes this text for the reason of a suppression.
///
/// # Errors
///
/// A sentence.
pub fn check_why(text: &str) -> Result<(), String> {
    let count = text.chars().count();
    if !(1..=WHY).contains(&count) || text.trim().is_empty() {
        return Err(format!("write why, in 1 to {WHY} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("write why in one line, without tabs".to_owned());
    }
    Ok(())
}

impl Console {
    /// The resource that is meant: looks up a policy's default version, a role alias' ARN.
    ///
    /// # Errors
    ///
    /// Class `Gone` when there is no policy, or role alias, of that name.
    pub async fn identify(&self, meant: Meant) -> Result<ResourceIdentifier, CallError> {
        let incomplete = |operation, member: &str| {
            CallError::new(Class::Transient, operation, format!("the answer has no {member}"))
        };
        match meant {
            Meant::Exactly(identifier) => Ok(identifier),
            Meant::DefaultVersionOf(policy) => {
                let version = self.call(|| async {
                    let answer = self.iot().get_policy().policy_name(&policy).send().await;
                    let answer = answer.map_err(|error| classify("GetPolicy", Effect::Read, error))?;
                    answer.default_version_id.ok_or_else(|| incomplete("GetPolicy", "defaultVersionId"))
                });
                let version = version.await?;
                Ok(ResourceIdentifier::PolicyVersion { policy, version })
            }
            Meant::RoleAlias(name) => {
                let arn = self.call(|| async {
                    let answer = self.iot().describe_role_alias().role_alias(&name).send().await;
                    let answer = answer.map_err(|error| classify("DescribeRoleAlias", Effect::Read, error))?;
                    let arn = answer.role_alias_description.and_then(|alias| alias.role_alias_arn);
                    arn.ok_or_else(|| incomplete("DescribeRoleAlias", "roleAliasArn"))
                });
                Ok(ResourceIdentifier::RoleAlias(arn.await?))
            }
        }
    }

    /// `ListAuditSuppressions`, all pages, in AWS's order: by expiry.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn suppressions(&self, check: Option<&str>) -> Result<Vec<Suppression>, CallError> {
        let mut all = Vec::new();
        let mut next = None;
        loop {
            let page = self.call(|| async {
                let call = self.iot().list_audit_suppressions().set_check_name(check.map(str::to_owned));
                let call = call.max_results(super::PAGE).set_next_token(next.clone());
                call.send().await.map_err(|error| classify("ListAuditSuppressions", Effect::Read, error))
            });
            let page = page.await?;
            all.extend(page.suppressions.unwrap_or_default().into_iter().map(suppression_of));
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(all);
            }
        }
    }

    /// `DescribeAuditSuppression`; none if there is none.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn suppression(
        &self,
        check: &str,
        resource: &ResourceIdentifier,
    ) -> Result<Option<Suppression>, CallError> {
        let described = self.call(|| async {
            let call = self.iot().describe_audit_suppression().check_name(check);
            let answer = call.resource_identifier(identifier_to(resource)).send().await;
            answer.map_err(|error| classify("DescribeAuditSuppression", Effect::Read, error))
        });
        match described.await {
            Ok(found) => Ok(Some(Suppression {
                check: check.to_owned(),
                resource: resource.clone(),
                until: until_of(found.expiration_date),
                why: found.description,
            })),
            Err(error) if error.class == Class::Gone => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `CreateAuditSuppression`. There cannot be two of one check and resource, so one whose answer is lost is made again, and what
    /// then exists already is compared.
    ///
    /// # Errors
    ///
    /// Code `ResourceAlreadyExistsException` when there is one.
    pub async fn suppress(&self, suppression: &Suppression) -> Result<(), CallError> {
        let (indefinitely, until) = wire_of(suppression.until);
        let (answer, in_doubt) = self
            .set(|| async {
                let call = self.iot().create_audit_suppression().check_name(&suppression.check);
                let call = call.resource_identifier(identifier_to(&suppression.resource));
                let call = call.suppress_indefinitely(indefinitely).set_expiration_date(until);
                let answer = call.set_description(suppression.why.clone()).send().await;
                answer.map(drop).map_err(|error| classify("CreateAuditSuppression", Effect::Write, error))
            })
            .await;
        match answer {
            Err(error) if in_doubt && is_there_already(&error) => {
                let there = self.suppression(&suppression.check, &suppression.resource).await?;
                if there.as_ref() == Some(suppression) { Ok(()) } else { Err(error) }
            }
            answer => answer,
        }
    }

    /// `UpdateAuditSuppression`: sets values.
    ///
    /// # Errors
    ///
    /// Class `Gone` when there is none.
    pub async fn change_suppression(&self, suppression: &Suppression) -> Result<(), CallError> {
        let (indefinitely, until) = wire_of(suppression.until);
        let (answer, _) = self
            .set(|| async {
                let call = self.iot().update_audit_suppression().check_name(&suppression.check);
                let call = call.resource_identifier(identifier_to(&suppression.resource));
                let call = call.suppress_indefinitely(indefinitely).set_expiration_date(until);
                let answer = call.set_description(suppression.why.clone()).send().await;
                answer.map(drop).map_err(|error| classify("UpdateAuditSuppression", Effect::Write, error))
            })
            .await;
        answer
    }

    /// `DeleteAuditSuppression`; AWS does not say whether there was one.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn unsuppress(&self, check: &str, resource: &ResourceIdentifier) -> Result<(), CallError> {
        let (answer, _) = self
            .set(|| async {
                let call = self.iot().delete_audit_suppression().check_name(check);
                let answer = call.resource_identifier(identifier_to(resource)).send().await;
                answer.map(drop).map_err(|error| classify("DeleteAuditSuppression", Effect::Write, error))
            })
            .await;
        answer
    }
}

fn wire_of(until: Until) -> (bool, Option<DateTime>) {
    match until {
        Until::Second(second) => (false, Some(DateTime::from_secs(second))),
        Until::Forever => (true, None),
    }
}

fn until_of(expires: Option<DateTime>) -> Until {
    expires.map_or(Until::Forever, |at| Until::Second(at.secs()))
}

fn suppression_of(suppression: AuditSuppression) -> Suppression {
    Suppression {
        check: catalogue::modern_name(&suppression.check_name).to_owned(),
        resource: identifier_of(suppression.resource_identifier),
        until: until_of(suppression.expiration_date),
        why: suppression.description,
    }
}

/// The API's structure with the one member set.
fn identifier_to(identifier: &ResourceIdentifier) -> types::ResourceIdentifier {
    let builder = types::ResourceIdentifier::builder();
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    match identifier {
        ResourceIdentifier::DeviceCertificate(id) => builder.device_certificate_id(id),
        ResourceIdentifier::CaCertificate(id) => builder.ca_certificate_id(id),
        ResourceIdentifier::PolicyVersion { policy, version } => builder.policy_version_identifier(
            PolicyVersionIdentifier::builder().policy_name(policy).policy_version_id(version).build(),
        ),
        ResourceIdentifier::CognitoIdentityPool(id) => builder.cognito_identity_pool_id(id),
        ResourceIdentifier::ClientId(id) => builder.client_id(id),
        ResourceIdentifier::Account(id) => builder.account(id),
        ResourceIdentifier::RoleAlias(arn) => builder.role_alias_arn(arn),
        ResourceIdentifier::IamRole(arn) => builder.iam_role_arn(arn),
        ResourceIdentifier::IssuerCertificate { subject, issuer_id, serial } => builder.issuer_certificate_identifier(
            IssuerCertificateIdentifier::builder()
                .set_issuer_certificate_subject(text(subject))
                .set_issuer_id(text(issuer_id))
                .set_issuer_certificate_serial_number(text(serial))
                .build(),
        ),
        ResourceIdentifier::DeviceCertificateArn(arn) => builder.device_certificate_arn(arn),
        // The SDK has no member for it; the API refuses an empty one with a sentence.
        ResourceIdentifier::Other { .. } => builder,
    }
    .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identifier_comes_back_from_the_api_as_it_went() {
        for text in [
            "{\"policyVersionIdentifier\":{\"policyName\":\"P\",\"policyVersionId\":\"2\"}}",
            "{\"cognitoIdentityPoolId\":\"us-east-1:1\"}",
            "{\"clientId\":\"c\"}",
            "{\"account\":\"123456789012\"}",
            "{\"roleAliasArn\":\"arn:aws:iot:us-east-1:123456789012:rolealias/a\"}",
            "{\"iamRoleArn\":\"arn:aws:iam::123456789012:role/r\"}",
            "{\"issuerCertificateIdentifier\":{\"issuerCertificateSubject\":\"CN=a\",\"issuerCertificateSerialNumber\":\"0A:1B\"}}",
        ] {
            let identifier = ResourceIdentifier::from_json(text).unwrap();
            assert_eq!(identifier_of(Some(identifier_to(&identifier))), identifier, "{text}");
            assert_eq!(identifier.to_json().to_string(), text);
        }
    }

    #[test]
    fn a_reason_is_one_line_of_up_to_a_thousand_characters() {
        assert!(check_why("accepted by ops until the new firmware is out").is_ok());
        for wrong in ["", "  ", "a\nb", &"x".repeat(1001)] {
            assert!(check_why(wrong).is_err());
        }
    }
}
