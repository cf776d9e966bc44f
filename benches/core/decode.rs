//! From a message's body to what is in it.

use crate::bench::Bench;
use crate::messages::{self, IN_SNS};
use fleetwarden::finding::{decode, decode_sealed};

pub fn run(bench: &mut Bench) {
    let origin = messages::origin();
    for (kind, body, entries) in messages::kinds() {
        let arrivals = decode(&body, &origin);
        assert_eq!(arrivals.len(), entries as usize, "{kind}");
        assert!(arrivals.iter().all(|arrival| arrival.content.is_err() == kind.starts_with("refused")), "{kind}");
        bench.batch("decode", kind, entries, || decode(&body, &origin));
    }
    bench.case("decode", "finding_in_sns_with_its_signature_read", || decode_sealed(IN_SNS, &origin));
}
