//! How `fleetwarden cost` prints a bill.

use super::print;
use crate::cost::{Bill, Estimate, Item, Limit, Part, Price, Prices, REGION, ServiceSum, Workload, estimate};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// All that there is to print.
pub(super) struct Reckoned {
    workload: Workload,
    estimate: Estimate,
    bill: Bill,
    prices: Prices,
}

impl Reckoned {
    /// Reckons and prices.
    pub fn new(workload: Workload, prices: Prices) -> Self {
        let estimate = estimate(&workload);
        let bill = Bill::new(&estimate, &prices);
        Self { workload, estimate, bill, prices }
    }

    /// A row for each service.
    pub fn print_services(&self) {
        let mut table = print::table(&["service", "requests", "a finding", "USD", "USD a million"]);
        let row = |name: &str, requests: f64, usd: f64| {
            let (all, per_finding) = match requests > 0.0 {
                true => (whole(requests), format!("{:.3}", requests / self.workload.findings)),
                false => (String::new(), String::new()),
            };
            [name.to_owned(), all, per_finding, dollars(usd), dollars(self.a_million(usd))]
        };
        for ServiceSum { service, requests, usd } in &self.bill.services {
            table.add_row(row(service, *requests, *usd));
        }
        table.add_row(row("all", self.bill.requests(), self.bill.usd()));
        print::right(&mut table, 1..5);
        print::line(&table.to_string());
    }

    /// A row for each kind of request.
    pub fn print_kinds(&self) {
        let headings = ["service", "call", "what for", "requests", "billed", "", "USD", "USD a million"];
        let mut table = print::table(&headings);
        for Item { line, usd } in &self.bill.items {
            table.add_row([
                line.service.to_owned(),
                line.call.to_owned(),
                line.why.clone(),
                if line.requests > 0.0 { whole(line.requests) } else { String::new() },
                units(line.units),
                line.charge.to_string(),
                dollars(*usd),
                dollars(self.a_million(*usd)),
            ]);
        }
        let (requests, usd) = (whole(self.bill.requests()), self.bill.usd());
        table.add_row(["all", "", "", &requests, "", "", &dollars(usd), &dollars(self.a_million(usd))]);
        print::right(&mut table, [3, 4, 6, 7]);
        print::line(&table.to_string());
    }

    /// The prices that are in it, each once.
    fn prices(&self) -> impl Iterator<Item = &Price> {
        let charges: BTreeSet<_> = self.bill.items.iter().map(|item| item.line.charge).collect();
        charges.into_iter().map(|charge| self.prices.of(charge))
    }

    /// A row for each price, with its source.
    pub fn print_prices(&self) {
        let mut table = print::table(&["price", "USD", "for a", "source"]);
        for Price { key, usd, per, source, .. } in self.prices() {
            table.add_row([key, usd.to_string().as_str(), per, source]);
        }
        print::right(&mut table, [1]);
        print::line(&table.to_string());
    }

    /// What was reckoned, in sentences.
    pub fn print_words(&self) {
        let Self { workload, estimate, bill, prices } = self;
        let what = match workload.actions.as_slice() {
            [] => "recorded only".to_owned(),
            actions => actions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        print::line(&format!(
            "{} findings in {} messages, {} a receive, {what}; {REGION}, on demand, no free tier",
            whole(workload.findings),
            whole(workload.messages()),
            workload.batch_fill,
        ));
        let a_finding = |part| bill.requests_of(part) / workload.findings;
        print::line(&format!(
            "requests a finding: {:.2} to receive, record and delete, {:.2} to act; the rest is AWS's own, or by the hour",
            a_finding(Part::Work),
            a_finding(Part::Action),
        ));
        let least = time(estimate.seconds);
        match estimate.limit {
            Limit::Processor => print::line(&format!("at least {least} of one small task's processor")),
            Limit::Quota(operation) => {
                let one_by_one = Workload { batch_fill: 1.0, ..workload.clone() };
                let one_by_one = Bill::new(&crate::cost::estimate(&one_by_one), prices).usd();
                print::line(&format!("at least {least} at AWS's default quota of {operation}, a fifth reserved"));
                print::line(&format!(
                    "findings that wait for it go one by one, as with --batch-fill 1: ${} a million",
                    dollars(self.a_million(one_by_one))
                ));
            }
        }
    }

    /// All of it, for programs.
    pub fn as_json(&self) -> Value {
        let Self { workload, estimate, bill, .. } = self;
        let per_million = |usd: f64| rounded(self.a_million(usd));
        let lines = bill.items.iter().map(|Item { line, usd }| {
            json!({
                "service": line.service,
                "part": line.part.as_str(),
                "call": if line.call.is_empty() { Value::Null } else { json!(line.call) },
                "why": line.why,
                "requests": rounded(line.requests),
                "price": line.charge.to_string(),
                "units": rounded(line.units),
                "usd": rounded(*usd),
                "usdPerMillion": per_million(*usd),
            })
        });
        let services = bill.services.iter().map(|ServiceSum { service, requests, usd }| {
            let (requests, per_million, usd) = (rounded(*requests), per_million(*usd), rounded(*usd));
            json!({ "service": service, "requests": requests, "usd": usd, "usdPerMillion": per_million })
        });
        let prices = self.prices().map(
            |Price { key, usd, per, source, .. }| json!({ "price": key, "usd": usd, "per": per, "source": source }),
        );
        let limit = match estimate.limit {
            Limit::Quota(operation) => operation.as_str(),
            Limit::Processor => "processor",
        };
        json!({
            "findings": workload.findings,
            "messages": rounded(workload.messages()),
            "duplicates": workload.duplicates,
            "batchFill": workload.batch_fill,
            "actions": workload.actions.iter().map(|action| action.as_str()).collect::<Vec<_>>(),
            "arrival": workload.arrival.as_str(),
            "seconds": rounded(estimate.seconds),
            "limitedBy": limit,
            "lines": lines.collect::<Vec<_>>(),
            "services": services.collect::<Vec<_>>(),
            "total": {
                "requests": rounded(bill.requests()),
                "usd": rounded(bill.usd()),
                "usdPerMillion": per_million(bill.usd()),
            },
            "region": REGION,
            "prices": prices.collect::<Vec<_>>(),
        })
    }

    /// Dollars for a million findings, of dollars for all.
    fn a_million(&self, usd: f64) -> f64 {
        usd / self.workload.findings * 1e6
    }
}

/// To a millionth: a single request costs less than that.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// A whole number with commas: `1,428,571`.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Units as a person reads them: hours and gigabytes may be few.
fn units(number: f64) -> String {
    if number < 100.0 { format!("{number:.2}") } else { whole(number) }
}

/// Dollars and cents.
fn dollars(usd: f64) -> String {
    match usd {
        usd if usd <= 0.0 => "0.00".to_owned(),
        usd if usd < 0.005 => "<0.01".to_owned(),
        usd => {
            let cents = format!("{:02.0}", (usd * 100.0).round() % 100.0);
            format!("{}.{cents}", whole((usd * 100.0).round().div_euclid(100.0)))
        }
    }
}

/// A time in its two largest units.
fn time(seconds: f64) -> String {
    let seconds = seconds.round().max(1.0);
    let two = |large: f64, name: &str, small: &str| {
        let of_one = if small == "h" { 24.0 } else { 60.0 };
        let rest = (seconds % large / (large / of_one)).floor();
        format!("{} {name} {rest:.0} {small}", whole((seconds / large).floor()))
    };
    match seconds {
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 3600.0 => two(60.0, "min", "s"),
        s if s < 172_800.0 => two(3600.0, "h", "min"),
        _ => two(86_400.0, "days", "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_and_dollars_have_cents() {
        let whole: Vec<_> = [0.4, 999.6, 1_428_571.4, 12_345.0, 123.0].map(whole).into();
        assert_eq!(whole, ["0", "1,000", "1,428,571", "12,345", "123"]);
        let dollars: Vec<_> = [0.0, 0.001, 0.005, 0.994, 0.999, 7.2, 1234.5].map(dollars).into();
        assert_eq!(dollars, ["0.00", "<0.01", "0.01", "0.99", "1.00", "7.20", "1,234.50"]);
    }

    #[test]
    fn a_time_is_told_in_two_units() {
        let times: Vec<_> = [0.2, 59.0, 61.0, 3599.0, 125_000.0, 80_000.0, 1.25e8].map(time).into();
        assert_eq!(times, ["1 s", "59 s", "1 min 1 s", "59 min 59 s", "34 h 43 min", "22 h 13 min", "1,446 days 18 h"]);
    }
}
