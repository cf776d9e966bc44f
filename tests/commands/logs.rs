//! Standard error: lines that programs read, and what no line may tell.

use super::bench::{Bench, ENFORCE, Ran, ran};
use serde_json::Value;

const SAMPLE: &str = include_str!("../fixtures/finding_iot_policy.json");
const SAMPLE_ID: &str = "11111111-1111-4111-8111-111111111111";

/// Every line, as JSON.
fn lines(ran: &Ran) -> Vec<Value> {
    let lines =
        ran.err.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    lines.collect()
}

fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or_default()
}

#[tokio::test]
async fn on_ecs_every_line_is_a_json_object_and_a_finished_one_names_finding_check_resource_and_epoch() {
    let bench = Bench::new().await;
    let policy = bench.file("policy.yaml", ENFORCE);
    bench.publish(SAMPLE).await;
    let poison = bench.clients.sqs.send_message().queue_url(&bench.made.queue_url).message_body("}{");
    let poison = poison.send().await.unwrap();
    let mut command = bench.command();
    command.env("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/abc");
    let ended = ran(command.args(["run", "--policy", &policy, "--until-empty", "--output", "json"])).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines = lines(&ended);
    for line in &lines {
        let at: jiff::Timestamp = text(line, "timestamp").parse().unwrap();
        assert!(at > jiff::Timestamp::UNIX_EPOCH && text(line, "timestamp").ends_with('Z'), "{line}");
        assert!(!text(line, "message").is_empty() && text(line, "target").starts_with("fleetwarden"), "{line}");
        assert!(line.as_object().unwrap().values().all(|value| !value.is_object()), "flat: {line}");
    }
    let finished = lines.iter().find(|line| text(line, "message") == "mitigated").unwrap();
    assert!(text(finished, "finding").ends_with(SAMPLE_ID), "{finished}");
    assert_eq!(text(finished, "check"), "IOT_POLICY_OVERLY_PERMISSIVE_CHECK");
    assert!(text(finished, "resource").contains("ExamplePolicy"), "{finished}");
    assert_eq!((text(finished, "level"), &finished["epoch"]), ("INFO", &1.into()));
    let dead = lines.iter().find(|line| text(line, "message") == "dead letter").unwrap();
    assert_eq!((text(dead, "level"), text(dead, "reason")), ("WARN", "not_json"));
    assert_eq!(dead["message_id"], poison.message_id().unwrap(), "nothing else says which message it was: {dead}");
}

#[tokio::test]
async fn the_last_word_of_a_command_that_fails_is_a_line_like_the_others() {
    let bench = Bench::new().await;
    let cases: [(&[&str], i32, &str); 4] = [
        (&["run", "--table", "nowhere"], 2, "nowhere"),
        (&["findings", "show", "nobody"], 2, "nobody"),
        (&["--log", "a=b=c", "status"], 2, "--log"),
        (&["run", "--lease", "1h30x"], 2, "--lease"),
    ];
    for (arguments, code, word) in cases {
        let ended = bench.run(&[&["--log-format", "json"], arguments].concat()).await;
        assert_eq!(ended.code, code, "{ended:?}");
        let lines = lines(&ended);
        let last = lines.last().unwrap();
        assert_eq!(text(last, "level"), "ERROR", "{last}");
        assert!(text(last, "message").contains(word) && !text(last, "message").starts_with("error"), "{last}");
        assert_eq!(ended.out, "");
    }
    let mut command = bench.command();
    command.env("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/abc").env("FLEETWARDEN_LOG_FORMAT", "text");
    let ended = ran(command.args(["findings", "show", "nobody"])).await;
    assert!(ended.err.starts_with("error: "), "{ended:?}");
    let help = bench.run(&["--log-format", "json", "--help"]).await;
    assert!(help.code == 0 && help.out.contains("--log-format") && help.err.is_empty(), "{help:?}");
}

#[tokio::test]
async fn no_line_tells_a_key_and_none_at_info_or_above_tells_what_a_message_says() {
    const SECRET: &str = "wJalrXUtnFEMIsecretK7MDENG";
    const TOKEN: &str = "IQoJb3JpZ2luX2VjEsessiontoken";
    const PAYLOAD: &str = "payloadpayloadpayload";
    let bench = Bench::new().await;
    let policy = bench.file("policy.yaml", ENFORCE);
    for (id, reason) in [(SAMPLE_ID, PAYLOAD), ("made-up", PAYLOAD)] {
        let mut finding: Value = serde_json::from_str(SAMPLE).unwrap();
        finding["findingId"] = id.into();
        finding["reasonForNonCompliance"] = reason.into();
        bench.publish(&finding.to_string()).await;
    }
    for body in [format!("}}{{{PAYLOAD}"), format!("{{\"findingId\":7,\"checkName\":\"{PAYLOAD}\"}}")] {
        bench.clients.sqs.send_message().queue_url(&bench.made.queue_url).message_body(body).send().await.unwrap();
    }
    let mut command = bench.command();
    command.env("AWS_SECRET_ACCESS_KEY", SECRET).env("AWS_SESSION_TOKEN", TOKEN).env("FLEETWARDEN_LOG_FORMAT", "json");
    let ended =
        ran(command.args(["--log", "debug,fleetwarden=debug", "run", "--policy", &policy, "--until-empty"])).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(bench.depths().await, (0, 3), "{ended:?}");
    let lines = lines(&ended);
    for library in ["fleetwarden", "aws_smithy_runtime", "aws_sdk_sqs"] {
        let own = lines.iter().filter(|line| text(line, "target").starts_with(library));
        assert!(own.filter(|line| text(line, "level") == "DEBUG").count() > 0, "{library} of {ended:?}");
    }
    assert!(!ended.err.contains(SECRET) && !ended.err.contains(TOKEN), "{}", ended.err);
    for line in lines.iter().filter(|line| text(line, "level") != "DEBUG") {
        assert!(!line.to_string().contains(PAYLOAD), "{line}");
    }
}
