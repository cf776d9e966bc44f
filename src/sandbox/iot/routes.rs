//! Which operation a method and a path mean. One row per operation: add a row to add an operation.

use serde_json::Value;

use super::call::Call;
use super::error::IotError;
use super::fleet::Fleet;
use super::{audit_api as audit, certificate_api as certificate, mitigation_api as mitigation};
use super::{logging, policy_api as policy, registry_api as registry, schedules as schedule};
use super::{settings_api as settings, suppressions as suppression, tags, thing_group_api as group};

/// One operation of the API.
pub(super) struct Route {
    method: &'static str,
    /// Segments in braces are labels.
    path: &'static str,
    /// AWS's name of the operation.
    pub operation: &'static str,
    pub run: fn(&mut Fleet, &Call) -> Result<Value, IotError>,
}

macro_rules! routes {
    ($($method:ident $path:literal $operation:ident => $run:path;)*) => {
        &[$(Route { method: stringify!($method), path: $path, operation: stringify!($operation), run: $run }),*]
    };
}

/// Methods and paths are those of the service model (botocore `iot/2015-05-28`).
#[rustfmt::skip]
static ROUTES: &[Route] = routes! {
    POST "/things/{thingName}" CreateThing => registry::create_thing;
    GET "/things/{thingName}" DescribeThing => registry::describe_thing;
    PATCH "/things/{thingName}" UpdateThing => registry::update_thing;
    DELETE "/things/{thingName}" DeleteThing => registry::delete_thing;
    GET "/things" ListThings => registry::list_things;
    PUT "/things/{thingName}/principals" AttachThingPrincipal => registry::attach_thing_principal;
    DELETE "/things/{thingName}/principals" DetachThingPrincipal => registry::detach_thing_principal;
    GET "/things/{thingName}/principals" ListThingPrincipals => registry::list_thing_principals;
    GET "/things/{thingName}/principals-v2" ListThingPrincipalsV2 => registry::list_thing_principals_v2;
    GET "/principals/things" ListPrincipalThings => registry::list_principal_things;
    GET "/principals/things-v2" ListPrincipalThingsV2 => registry::list_principal_things_v2;
    PUT "/thing-groups/addThingToThingGroup" AddThingToThingGroup => group::add_thing_to_thing_group;
    PUT "/thing-groups/removeThingFromThingGroup" RemoveThingFromThingGroup => group::remove_thing_from_thing_group;
    POST "/thing-groups/{thingGroupName}" CreateThingGroup => group::create_thing_group;
    GET "/thing-groups/{thingGroupName}" DescribeThingGroup => group::describe_thing_group;
    PATCH "/thing-groups/{thingGroupName}" UpdateThingGroup => group::update_thing_group;
    DELETE "/thing-groups/{thingGroupName}" DeleteThingGroup => group::delete_thing_group;
    GET "/thing-groups" ListThingGroups => group::list_thing_groups;
    GET "/thing-groups/{thingGroupName}/things" ListThingsInThingGroup => group::list_things_in_thing_group;
    GET "/things/{thingName}/thing-groups" ListThingGroupsForThing => group::list_thing_groups_for_thing;
    GET "/v2LoggingOptions" GetV2LoggingOptions => logging::get_v2_logging_options;
    POST "/v2LoggingOptions" SetV2LoggingOptions => logging::set_v2_logging_options;
    GET "/loggingOptions" GetLoggingOptions => logging::get_logging_options;
    POST "/loggingOptions" SetLoggingOptions => logging::set_logging_options;
    GET "/role-aliases/{roleAlias}" DescribeRoleAlias => registry::describe_role_alias;
    GET "/role-aliases" ListRoleAliases => registry::list_role_aliases;
    GET "/endpoint" DescribeEndpoint => registry::describe_endpoint;

    POST "/keys-and-certificate" CreateKeysAndCertificate => certificate::create_keys_and_certificate;
    GET "/certificates/{certificateId}" DescribeCertificate => certificate::describe_certificate;
    PUT "/certificates/{certificateId}" UpdateCertificate => certificate::update_certificate;
    DELETE "/certificates/{certificateId}" DeleteCertificate => certificate::delete_certificate;
    GET "/certificates" ListCertificates => certificate::list_certificates;
    GET "/certificates-by-ca/{caCertificateId}" ListCertificatesByCA => certificate::list_certificates_by_ca;
    GET "/cacertificate/{caCertificateId}" DescribeCACertificate => certificate::describe_ca_certificate;
    PUT "/cacertificate/{caCertificateId}" UpdateCACertificate => certificate::update_ca_certificate;
    GET "/cacertificates" ListCACertificates => certificate::list_ca_certificates;

    POST "/policies/{policyName}" CreatePolicy => policy::create_policy;
    GET "/policies/{policyName}" GetPolicy => policy::get_policy;
    DELETE "/policies/{policyName}" DeletePolicy => policy::delete_policy;
    GET "/policies" ListPolicies => policy::list_policies;
    POST "/policies/{policyName}/version" CreatePolicyVersion => policy::create_policy_version;
    GET "/policies/{policyName}/version" ListPolicyVersions => policy::list_policy_versions;
    GET "/policies/{policyName}/version/{policyVersionId}" GetPolicyVersion => policy::get_policy_version;
    PATCH "/policies/{policyName}/version/{policyVersionId}" SetDefaultPolicyVersion => policy::set_default_policy_version;
    DELETE "/policies/{policyName}/version/{policyVersionId}" DeletePolicyVersion => policy::delete_policy_version;
    PUT "/target-policies/{policyName}" AttachPolicy => policy::attach_policy;
    POST "/target-policies/{policyName}" DetachPolicy => policy::detach_policy;
    POST "/policy-targets/{policyName}" ListTargetsForPolicy => policy::list_targets_for_policy;
    POST "/attached-policies/{target}" ListAttachedPolicies => policy::list_attached_policies;

    GET "/audit/configuration" DescribeAccountAuditConfiguration => settings::describe_account_audit_configuration;
    PATCH "/audit/configuration" UpdateAccountAuditConfiguration => settings::update_account_audit_configuration;
    DELETE "/audit/configuration" DeleteAccountAuditConfiguration => settings::delete_account_audit_configuration;
    POST "/audit/tasks" StartOnDemandAuditTask => audit::start_on_demand_audit_task;
    GET "/audit/tasks" ListAuditTasks => audit::list_audit_tasks;
    GET "/audit/tasks/{taskId}" DescribeAuditTask => audit::describe_audit_task;
    PUT "/audit/tasks/{taskId}/cancel" CancelAuditTask => audit::cancel_audit_task;
    POST "/audit/findings" ListAuditFindings => audit::list_audit_findings;
    GET "/audit/findings/{findingId}" DescribeAuditFinding => audit::describe_audit_finding;
    GET "/audit/relatedResources" ListRelatedResourcesForAuditFinding => audit::list_related_resources_for_audit_finding;

    POST "/audit/scheduledaudits/{scheduledAuditName}" CreateScheduledAudit => schedule::create_scheduled_audit;
    PATCH "/audit/scheduledaudits/{scheduledAuditName}" UpdateScheduledAudit => schedule::update_scheduled_audit;
    GET "/audit/scheduledaudits/{scheduledAuditName}" DescribeScheduledAudit => schedule::describe_scheduled_audit;
    DELETE "/audit/scheduledaudits/{scheduledAuditName}" DeleteScheduledAudit => schedule::delete_scheduled_audit;
    GET "/audit/scheduledaudits" ListScheduledAudits => schedule::list_scheduled_audits;
    POST "/tags" TagResource => tags::tag_resource;
    POST "/untag" UntagResource => tags::untag_resource;
    GET "/tags" ListTagsForResource => tags::list_tags_for_resource;

    POST "/audit/suppressions/create" CreateAuditSuppression => suppression::create_audit_suppression;
    POST "/audit/suppressions/describe" DescribeAuditSuppression => suppression::describe_audit_suppression;
    PATCH "/audit/suppressions/update" UpdateAuditSuppression => suppression::update_audit_suppression;
    POST "/audit/suppressions/delete" DeleteAuditSuppression => suppression::delete_audit_suppression;
    POST "/audit/suppressions/list" ListAuditSuppressions => suppression::list_audit_suppressions;

    POST "/mitigationactions/actions/{actionName}" CreateMitigationAction => mitigation::create_mitigation_action;
    PATCH "/mitigationactions/actions/{actionName}" UpdateMitigationAction => mitigation::update_mitigation_action;
    GET "/mitigationactions/actions/{actionName}" DescribeMitigationAction => mitigation::describe_mitigation_action;
    DELETE "/mitigationactions/actions/{actionName}" DeleteMitigationAction => mitigation::delete_mitigation_action;
    GET "/mitigationactions/actions" ListMitigationActions => mitigation::list_mitigation_actions;
    POST "/audit/mitigationactions/tasks/{taskId}" StartAuditMitigationActionsTask => mitigation::start_audit_mitigation_actions_task;
    GET "/audit/mitigationactions/tasks/{taskId}" DescribeAuditMitigationActionsTask => mitigation::describe_audit_mitigation_actions_task;
    GET "/audit/mitigationactions/tasks" ListAuditMitigationActionsTasks => mitigation::list_audit_mitigation_actions_tasks;
    PUT "/audit/mitigationactions/tasks/{taskId}/cancel" CancelAuditMitigationActionsTask => mitigation::cancel_audit_mitigation_actions_task;
    GET "/audit/mitigationactions/executions" ListAuditMitigationActionsExecutions => mitigation::list_audit_mitigation_actions_executions;
};

/// Label names and their values.
pub(super) type Labels = Vec<(&'static str, String)>;

/// The operation, and the labels that its path gave.
pub(super) fn find(method: &str, path: &str) -> Option<(&'static Route, Labels)> {
    ROUTES.iter().filter(|route| route.method == method).find_map(|route| Some((route, match_path(route.path, path)?)))
}

/// Whether there is an operation of this name.
pub(super) fn is_operation(name: &str) -> bool {
    ROUTES.iter().any(|route| route.operation == name)
}

/// Labels are split off before they are decoded: an ARN in a label keeps its encoded slash.
fn match_path(pattern: &'static str, path: &str) -> Option<Labels> {
    let mut labels = Vec::new();
    let mut given = path.trim_end_matches('/').split('/');
    for segment in pattern.split('/') {
        let text = given.next()?;
        match segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) {
            Some(label) => labels.push((label, percent_decode(text))),
            None if segment == text => {}
            None => return None,
        }
    }
    given.next().is_none().then_some(labels)
}

/// Name and value pairs of a query string.
pub(super) fn parse_query(query: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode(&name.replace('+', " ")), percent_decode(&value.replace('+', " ")))
    };
    query.split('&').filter(|text| !text.is_empty()).map(pair).collect()
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte = escape.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_segment_wins_over_a_label_of_another_method_and_labels_are_decoded() {
        let (route, labels) = find("PUT", "/thing-groups/addThingToThingGroup").unwrap();
        assert_eq!((route.operation, labels.len()), ("AddThingToThingGroup", 0));
        let (route, labels) = find("POST", "/attached-policies/arn%3Aaws%3Aiot%3Aeu%3A1%3Acert%2Fab").unwrap();
        assert_eq!((route.operation, labels[0].1.as_str()), ("ListAttachedPolicies", "arn:aws:iot:eu:1:cert/ab"));
        assert!(find("GET", "/things/a/b/c").is_none());
        assert!(find("POST", "/jobs/x").is_none());
    }

    #[test]
    fn no_operation_is_listed_twice_and_every_one_is_reached_by_its_own_path() {
        for route in ROUTES {
            assert_eq!(ROUTES.iter().filter(|other| other.operation == route.operation).count(), 1);
            let path = route.path.replace('{', "x").replace('}', "");
            assert_eq!(find(route.method, &path).unwrap().0.operation, route.operation);
        }
    }

    #[test]
    fn queries_are_decoded() {
        let query = parse_query("newStatus=INACTIVE&x=%2Fa%20b+c&flag");
        let expected = [("newStatus", "INACTIVE"), ("x", "/a b c"), ("flag", "")];
        assert_eq!(query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
