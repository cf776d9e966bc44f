//! What the skips of the IoT contract rest on: the peer still lacks it.

use crate::clients;
use crate::contract::run::unique;
use fleetwarden::aws::Clients;
use fleetwarden::mitigation::{AwsIot, IotControl};

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
const BLANK: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;

fn iot(clients: &Clients) -> AwsIot {
    AwsIot::new(clients.iot.clone(), clients.sns.clone(), "000000000000", "us-east-1")
}

/// These are skipped, and run against the sandbox instead; when the peer learns one, this fails and the case belongs here.
#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn audits_and_logging_options_are_skipped_because_the_peer_still_lacks_them() {
    let clients = clients();
    let iot = iot(&clients);
    let lacking = [
        ("DescribeAuditFinding", iot.describe_audit_finding("f").await.err()),
        ("ListAuditFindings", iot.list_audit_findings("t", "LOGGING_DISABLED_CHECK", None).await.err()),
        ("ListRelatedResourcesForAuditFinding", iot.list_related_resources("f", None).await.err()),
        ("GetV2LoggingOptions", iot.get_logging_options().await.err()),
    ];
    for (operation, error) in lacking {
        let error = error.unwrap();
        assert!(error.message.contains("Unsupported IoT path"), "{operation}: {error}");
        println!("skipped {operation}: MiniStack 1.5.33 does not have it");
    }
}

#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn the_limit_of_five_versions_is_skipped_because_the_peer_has_none() {
    let clients = clients();
    let iot = iot(&clients);
    let name = unique("versions");
    clients.iot.create_policy().policy_name(&name).policy_document(POLICY).send().await.unwrap();
    for _ in 0..5 {
        iot.create_default_policy_version(&name, BLANK).await.unwrap();
    }
    println!("skipped VersionsLimitExceededException: MiniStack 1.5.33 made a sixth version");
}
