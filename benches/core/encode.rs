//! What is written for a finding: to the ledger, to the queue, to a topic.

use crate::bench::Bench;
use crate::messages::{self, IN_SNS};
use fleetwarden::finding::{encode_message, encode_own, encode_replay};
use fleetwarden::ledger::Subject;

pub fn run(bench: &mut Bench) {
    let findings = [
        ("certificate", messages::certificate()),
        ("policy", messages::policy()),
        ("certificate_with_related_resources", messages::shared()),
    ];
    for (kind, finding) in &findings {
        bench.case("encode", &format!("subject_of_{kind}"), || Subject::from(finding));
    }
    let (_, finding) = &findings[0];
    bench.case("encode", "payload", || finding.to_native().to_string());
    bench.case("encode", "fingerprint", || finding.fingerprint());
    bench.case("encode", "authenticity_digest", || finding.authenticity_digest());
    bench.case("encode", "resource_key", || finding.resource_key());
    bench.case("encode", "our_envelope", || encode_own(finding, None));

    let summary = messages::summary();
    bench.case("encode", "subject_of_summary", || Subject::from(&summary));
    let place = Some((summary.account.as_str(), summary.region.as_str()));
    bench.case("encode", "our_envelope_of_summary", || encode_message(place, None, &summary.to_native()));

    let replay = messages::replay();
    let again = encode_replay(IN_SNS, &replay);
    bench.case("encode", "dead_letter_replayed", || encode_replay(IN_SNS, &replay));
    bench.case("encode", "dead_letter_replayed_once_more", || encode_replay(&again, &replay));
}
