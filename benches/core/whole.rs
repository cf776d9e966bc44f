//! The whole way of a finding through the core: everything that is computed for it between two calls to AWS.

use crate::bench::Bench;
use crate::decide::default_policy;
use crate::messages::{self, IN_SNS};
use crate::transition::{LEASE, NOW, OWNER, request};
use fleetwarden::finding::{Content, decode};
use fleetwarden::ledger::transition::{arrive, begin};
use fleetwarden::ledger::{Record, Status, Subject};
use fleetwarden::mitigation::calls_of;
use fleetwarden::policy::{Facts, decide};

pub fn run(bench: &mut Bench) {
    let origin = messages::origin();
    let policy = default_policy();
    let facts = Facts::default();
    let take_in = || {
        let Some(Ok(Content::Finding(finding))) = decode(IN_SNS, &origin).pop().map(|arrival| arrival.content) else {
            unreachable!("the fixture is a finding")
        };
        let calls = calls_of(&policy, &finding);
        (request(Subject::from(&*finding)), finding, calls)
    };
    bench.case("whole", "new_finding_in_sns", || {
        let (request, finding, calls) = take_in();
        (begin(&request, OWNER, NOW, LEASE), decide(&policy, &finding, &facts), calls)
    });
    let (request, ..) = take_in();
    let done = Record { status: Status::Mitigated, ..begin(&request, "another", NOW, LEASE) };
    bench.case("whole", "duplicate_in_sns", || {
        let (request, _, calls) = take_in();
        (arrive(&done, &request, OWNER, NOW, LEASE), calls)
    });
}
