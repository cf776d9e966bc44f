//! How `fleetwarden cost` prints a bill for programs.

use super::cost_print::Priced;
use crate::cost::{Bill, Change, Item, Limit, Price, REGION, Saving, ServiceSum};
use serde_json::{Value, json};

/// All of it as one document. `usdPerMillion` is null where idle hours are in the dollars; a line's dollars are
/// `units / perUnits * usd` of the price that its `priceKey` names.
pub(super) fn document(priced: &Priced) -> Value {
    let Priced { workload, estimate, bill, .. } = priced;
    let per_million = |usd: f64| priced.per_million(usd).map(rounded);
    let lines = bill.items.iter().map(|Item { line, usd }| {
        json!({
            "service": line.service,
            "part": line.part.as_str(),
            "call": if line.call.is_empty() { Value::Null } else { json!(line.call) },
            "why": line.why,
            "requests": rounded(line.requests),
            "priceKey": line.charge.to_string(),
            "units": rounded(line.units),
            "usd": rounded(*usd),
            "usdPerMillion": per_million(*usd),
        })
    });
    let services = bill.services.iter().map(|ServiceSum { service, requests, usd }| {
        let (requests, per_million, usd) = (rounded(*requests), per_million(*usd), rounded(*usd));
        json!({ "service": service, "requests": requests, "usd": usd, "usdPerMillion": per_million })
    });
    let prices = priced.prices().map(|Price { key, usd, per_units, unit, source, .. }| {
        json!({ "priceKey": key, "usd": usd, "perUnits": per_units, "unit": unit, "source": source })
    });
    let sum = |bill: &Bill| {
        let (requests, usd) = (rounded(bill.requests()), rounded(bill.usd()));
        json!({ "requests": requests, "usd": usd, "usdPerMillion": per_million(bill.usd()) })
    };
    let (limit, at_least) = match estimate.limit {
        Limit::Quota(operation) => (operation.as_str(), Some(rounded(estimate.seconds))),
        Limit::Cpu => ("cpu", None),
    };
    json!({
        "findings": workload.findings,
        "messages": rounded(workload.messages()),
        "duplicates": workload.duplicates,
        "batchFill": workload.batch_fill,
        "actions": workload.actions.iter().map(|action| action.as_str()).collect::<Vec<_>>(),
        "arrival": workload.arrival.as_str(),
        "limitedBy": limit,
        "atLeastSeconds": at_least,
        "aboutCpuSeconds": rounded(estimate.cpu_seconds),
        "workerHours": rounded(estimate.worker_hours),
        "idleHours": rounded(estimate.idle_hours),
        "lines": lines.collect::<Vec<_>>(),
        "services": services.collect::<Vec<_>>(),
        "total": sum(bill),
        "oneByOne": priced.one_by_one.as_ref().map(sum),
        "saving": priced.saving.map(|Saving { change, usd }| json!({ "by": name(change), "usd": rounded(usd) })),
        "region": REGION,
        "prices": prices.collect::<Vec<_>>(),
    })
}

fn name(change: Change) -> &'static str {
    match change {
        Change::Summary => "--arrival summary",
        Change::NoIdleHours => "fewer worker hours",
    }
}

/// To a millionth: a single request costs less than that.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}
