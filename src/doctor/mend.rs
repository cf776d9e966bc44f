//! Commands that mend things, as a person can paste them. Names of queues, tables and topics need no quotes.

use super::plan::Plan;

/// The last part of a queue's URL or of an ARN.
pub(super) fn name_of(url: &str) -> &str {
    url.rsplit(['/', ':']).next().unwrap_or(url)
}

/// `fleetwarden setup` for this deployment, which adds what is missing and changes nothing else.
pub(super) fn setup(plan: &Plan, topic: Option<&str>) -> String {
    let topic = topic.map(|topic| format!(" --topic-name {topic}")).unwrap_or_default();
    format!(
        "fleetwarden setup --queue-name {} --dead-letter-queue-name {} --table {}{topic}",
        name_of(&plan.queue_url),
        name_of(&plan.dead_letter_queue_url),
        plan.table
    )
}

/// Sets one attribute of a queue to a value without spaces or quotes.
pub(super) fn queue_attribute(url: &str, name: &str, value: impl std::fmt::Display) -> String {
    format!("aws sqs set-queue-attributes --queue-url {url} --attributes {name}={value}")
}

/// Sets the redrive policy of a queue. The AWS CLI takes the policy, JSON itself, as a text inside JSON.
pub(super) fn redrive(url: &str, target: &str, count: u32) -> String {
    format!(
        r#"aws sqs set-queue-attributes --queue-url {url} --attributes '{{"RedrivePolicy":"{{\"deadLetterTargetArn\":\"{target}\",\"maxReceiveCount\":\"{count}\"}}"}}'"#
    )
}

/// Takes the redrive policy of a queue away.
pub(super) fn no_redrive(url: &str) -> String {
    format!(r#"aws sqs set-queue-attributes --queue-url {url} --attributes '{{"RedrivePolicy":""}}'"#)
}

/// A command of the AWS CLI, with the region: its first version knows no `AWS_REGION`. Everything else stays as it is.
pub(super) fn in_region(mend: &str, region: &str) -> String {
    let words: Vec<&str> = mend.splitn(4, ' ').collect();
    match words.as_slice() {
        ["aws", service, operation, rest] if *service != "iam" => {
            format!("aws {service} {operation} --region {region} {rest}")
        }
        _ => mend.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_the_aws_cli_name_the_region_and_no_other_text_does() {
        for (mend, told) in [
            ("aws sqs get-queue-url --queue-name q", "aws sqs get-queue-url --region eu-west-1 --queue-name q"),
            ("aws iam get-role --role-name R", "aws iam get-role --role-name R"),
            ("fleetwarden setup --table t", "fleetwarden setup --table t"),
            ("allow aws it", "allow aws it"),
        ] {
            assert_eq!(in_region(mend, "eu-west-1"), told);
        }
    }

    #[test]
    fn the_command_for_a_redrive_is_json_in_json() {
        let command = redrive("https://q", "arn:aws:sqs:us-east-1:1:d", 1000);
        let json = command.split('\'').nth(1).unwrap();
        let attributes: serde_json::Value = serde_json::from_str(json).unwrap();
        let policy: serde_json::Value = serde_json::from_str(attributes["RedrivePolicy"].as_str().unwrap()).unwrap();
        assert_eq!(policy["deadLetterTargetArn"], "arn:aws:sqs:us-east-1:1:d");
        assert_eq!(name_of("http://127.0.0.1:4566/123456789012/findings"), "findings");
    }
}
