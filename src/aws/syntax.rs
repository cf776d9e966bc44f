//! What AWS takes as an ARN or a name, where a slip is better told before anything is called.

/// The partition of a region: `aws`, `aws-cn` or `aws-us-gov`.
pub fn partition_of(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// An account id: 12 digits.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The account that an ARN names.
pub fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| is_account(account))
}

/// The ARN of an IAM role: `arn:aws:iam::123456789012:role/IoTLogging`.
pub fn is_role_arn(arn: &str) -> bool {
    parts(arn).is_some_and(|parts| {
        let name = parts[5].strip_prefix("role/").unwrap_or_default();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@/-".contains(&byte);
        parts[2] == "iam"
            && parts[3].is_empty()
            && is_account(parts[4])
            && !name.is_empty()
            && !name.ends_with('/')
            && name.bytes().all(fits)
    })
}

/// The ARN of a standard topic. A FIFO topic (`.fifo`) would need a message group, and its name has a dot, which no standard topic has.
pub fn is_topic_arn(arn: &str) -> bool {
    parts(arn).is_some_and(|parts| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let (region, name) = (parts[3], parts[5]);
        let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        parts[2] == "sns"
            && !region.is_empty()
            && region.bytes().all(is_region)
            && is_account(parts[4])
            && (1..=256).contains(&name.len())
            && name.bytes().all(fits)
    })
}

/// The name of a thing group: `[a-zA-Z0-9:_-]{1,128}` (AWS IoT API, `ThingGroupName`).
pub fn is_thing_group_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b":_-".contains(&byte);
    (1..=128).contains(&name.len()) && name.bytes().all(fits)
}

/// The name of a mitigation action, or the id of a mitigation task: `[a-zA-Z0-9_-]{1,128}` (AWS IoT API).
pub fn is_mitigation_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=128).contains(&name.len()) && name.bytes().all(fits)
}

/// The six parts of an ARN of at most 2048 characters in a partition that AWS has.
fn parts(arn: &str) -> Option<[&str; 6]> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let parts: [&str; 6] = parts.try_into().ok()?;
    let partition = matches!(parts[1], "aws" | "aws-cn" | "aws-us-gov");
    (parts[0] == "arn" && partition && arn.len() <= 2048).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_arn_has_an_account_and_a_name_and_no_region() {
        assert!(is_role_arn("arn:aws:iam::123456789012:role/path/IoTLogging"));
        assert!(is_role_arn("arn:aws-cn:iam::123456789012:role/R"));
        for wrong in [
            "",
            "R",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/path/",
            "arn:aws:iam::123456789012:user/R",
            "arn:aws:iam::12345678901:role/R",
            "arn:aws:iam:us-east-1:123456789012:role/R",
            "arn:moon:iam::123456789012:role/R",
            "arn:aws:iam::123456789012:role/R S",
        ] {
            assert!(!is_role_arn(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_topic_arn_is_of_a_standard_topic() {
        assert!(is_topic_arn("arn:aws:sns:us-east-1:123456789012:DeviceDefenderFindings"));
        for wrong in [
            "arn:aws:sns:us-east-1:123456789012:T.fifo",
            "arn:aws:sns::123456789012:T",
            "arn:aws:sns:us-east-1:123456789012:",
            "arn:aws:sns:us-east-1:123456789012:T:subscription",
            "arn:aws:sqs:us-east-1:123456789012:T",
        ] {
            assert!(!is_topic_arn(wrong), "{wrong}");
        }
    }

    #[test]
    fn names_have_a_length_and_an_alphabet() {
        assert!(is_thing_group_name("a:B_c-1") && !is_thing_group_name("a b") && !is_thing_group_name(""));
        assert!(is_mitigation_name("a-B_1") && !is_mitigation_name("a:b") && !is_mitigation_name(&"a".repeat(129)));
        assert_eq!(account_of("arn:aws:iam::123456789012:role/R"), Some("123456789012"));
        assert_eq!(account_of("arn:aws:iam::nobody:role/R"), None);
    }
}
