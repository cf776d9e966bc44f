//! Making resources over the wire, through the SDK, for implementations that are served somewhere.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::iot::{IotFixture, PERMISSIVE};
use aws_sdk_iot::types::{AuditCheckConfiguration, AuditTaskStatus, PolicyVersionIdentifier, ResourceIdentifier};
use fleetwarden::aws::Clients;
use fleetwarden::mitigation::AwsIot;

/// The AWS adapter and, beside it, the bare clients.
pub struct WireFixture {
    control: AwsIot,
    clients: Clients,
    ca_certificate: Option<String>,
}

impl WireFixture {
    /// A fixture over these clients. Registering a CA certificate takes a real one, so `ca_certificate` is the id of one that is
    /// there already, if any is.
    pub fn new(clients: Clients, ca_certificate: Option<String>) -> Self {
        let control = AwsIot::new(clients.iot.clone(), clients.sns.clone(), "123456789012", "us-east-1");
        Self { control, clients, ca_certificate }
    }
}

impl IotFixture for WireFixture {
    type Control = AwsIot;

    fn control(&self) -> &AwsIot {
        &self.control
    }

    async fn create_certificate(&self) -> (String, String) {
        let made = self.clients.iot.create_keys_and_certificate().set_as_active(true).send().await.unwrap();
        (made.certificate_id.unwrap(), made.certificate_arn.unwrap())
    }

    fn ca_certificate(&self) -> &str {
        self.ca_certificate.as_deref().unwrap()
    }

    async fn create_policy(&self, name: &str, document: &str) {
        self.clients.iot.create_policy().policy_name(name).policy_document(document).send().await.unwrap();
    }

    async fn create_thing(&self, name: &str) {
        self.clients.iot.create_thing().thing_name(name).send().await.unwrap();
    }

    async fn create_group(&self, name: &str) {
        self.clients.iot.create_thing_group().thing_group_name(name).send().await.unwrap();
    }

    async fn attach(&self, thing: &str, certificate_arn: &str) {
        let call = self.clients.iot.attach_thing_principal().thing_name(thing).principal(certificate_arn);
        call.send().await.unwrap();
    }

    async fn create_topic(&self, name: &str) -> String {
        self.clients.sns.create_topic().name(name).send().await.unwrap().topic_arn.unwrap()
    }

    async fn certificate_status(&self, id: &str) -> String {
        let described = self.clients.iot.describe_certificate().certificate_id(id).send().await.unwrap();
        described.certificate_description.unwrap().status.unwrap().as_str().to_owned()
    }

    async fn things_in_group(&self, name: &str) -> Vec<String> {
        let listed = self.clients.iot.list_things_in_thing_group().thing_group_name(name).send().await.unwrap();
        listed.things.unwrap_or_default()
    }

    async fn audit(&self, policies: &[String]) -> String {
        let iot = &self.clients.iot;
        let enabled = AuditCheckConfiguration::builder().enabled(true).build();
        let configure = iot.update_account_audit_configuration().role_arn("arn:aws:iam::123456789012:role/Audit");
        configure.audit_check_configurations(PERMISSIVE, enabled).send().await.unwrap();
        let version = PolicyVersionIdentifier::builder().policy_name(&policies[0]).policy_version_id("1").build();
        let resource = ResourceIdentifier::builder().policy_version_identifier(version).build();
        let suppress = iot.create_audit_suppression().check_name(PERMISSIVE).resource_identifier(resource);
        suppress.suppress_indefinitely(true).send().await.unwrap();
        let started = iot.start_on_demand_audit_task().target_check_names(PERMISSIVE).send().await.unwrap();
        let task = started.task_id.unwrap();
        loop {
            let audit = iot.describe_audit_task().task_id(&task).send().await.unwrap();
            if audit.task_status == Some(AuditTaskStatus::Completed) {
                return task;
            }
            tokio::task::yield_now().await;
        }
    }
}
