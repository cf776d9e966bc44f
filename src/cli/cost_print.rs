//! How `fleetwarden cost` prints a bill for people, in 80 columns where numbers allow it.

use super::print;
use crate::cost::{
    Bill, Change, Estimate, Item, Limit, Part, Price, Prices, REGION, Saving, ServiceSum, Workload, estimate,
    one_by_one, saving,
};
use comfy_table::Table;
use std::collections::{BTreeMap, BTreeSet};

/// Less than a cent is not worth a sentence. US dollars.
const CENT: f64 = 0.01;

/// All that there is to print.
pub(super) struct Priced {
    pub workload: Workload,
    pub estimate: Estimate,
    pub bill: Bill,
    pub prices: Prices,
    /// What it costs where a quota lets findings end one by one.
    pub one_by_one: Option<Bill>,
    /// What would save most.
    pub saving: Option<Saving>,
}

impl Priced {
    /// Estimates and prices.
    pub fn new(workload: Workload, prices: Prices) -> Self {
        let estimate = estimate(&workload);
        let bill = Bill::new(&estimate, &prices);
        let one_by_one = one_by_one(&workload, &estimate, &prices);
        let saving = saving(&workload, &prices);
        Self { workload, estimate, bill, prices, one_by_one, saving }
    }

    /// A row for each service. Where workers stand by, nothing is told by the finding: idle hours do not grow with findings.
    pub fn print_services(&self) {
        let by_finding = self.grows_with_findings();
        let headings = ["service", "requests", "USD", "requests\nper finding", "USD per\nmillion findings"];
        let columns = if by_finding { headings.len() } else { 3 };
        let mut table = print::table(&headings[..columns]);
        let mut add = |name: &str, requests: f64, usd: f64| {
            let none = requests <= 0.0;
            let all = if none { String::new() } else { whole(requests) };
            let each = if none { String::new() } else { format!("{:.3}", requests / self.workload.findings) };
            match self.per_million(usd) {
                Some(million) => table.add_row([name.to_owned(), all, dollars(usd), each, dollars(million)]),
                None => table.add_row([name.to_owned(), all, dollars(usd)]),
            };
        };
        for ServiceSum { service, requests, usd } in &self.bill.services {
            add(service, *requests, *usd);
        }
        add("all", self.bill.requests(), self.bill.usd());
        finish(table, 1..columns);
    }

    /// A row for each kind of request.
    pub fn print_kinds(&self) {
        let mut table = print::table(&["service", "call", "what for", "requests", "USD"]);
        for Item { line, usd } in &self.bill.items {
            table.add_row([
                line.service.to_owned(),
                line.call.to_owned(),
                line.why.clone(),
                if line.requests > 0.0 { whole(line.requests) } else { String::new() },
                dollars(*usd),
            ]);
        }
        table.add_row(["all", "", "", &whole(self.bill.requests()), &dollars(self.bill.usd())]);
        print::whole(&mut table, 1);
        finish(table, [3, 4]);
    }

    /// The prices that are in it, each once.
    pub fn prices(&self) -> impl Iterator<Item = &Price> {
        let charges: BTreeSet<_> = self.bill.items.iter().map(|item| item.line.charge).collect();
        charges.into_iter().map(|charge| self.prices.of(charge))
    }

    /// A row for each price and what is billed at it; then where the prices are from.
    pub fn print_prices(&self) {
        let mut table = print::table(&["price", "USD", "per", "billed", "USD\nin all"]);
        let mut sources: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for price in self.prices() {
            let billed = self.bill.items.iter().filter(|item| item.line.charge == price.charge);
            let (billed, usd) =
                billed.fold((0.0, 0.0), |(billed, usd), item| (billed + item.line.units, usd + item.usd));
            table.add_row([price.key.to_owned(), price.usd.to_string(), price.per(), units(billed), dollars(usd)]);
            sources.entry(price.source).or_default().push(price.key);
        }
        print::whole(&mut table, 0);
        finish(table, [1, 3, 4]);
        for (source, keys) in sources {
            print::line(&format!("{}: {source}", keys.join(", ")));
        }
    }

    /// What was estimated, in sentences.
    pub fn print_words(&self) {
        let Self { workload, estimate, bill, .. } = self;
        if workload.findings > 0.0 {
            self.print_findings();
            self.print_time();
        } else {
            print::line("no findings");
        }
        if estimate.idle_hours > 0.0 {
            let hours = [estimate.worker_hours, estimate.idle_hours].map(units);
            print::line(&format!(
                "{} worker hours, {} of them idle, which do not grow with findings",
                hours[0], hours[1]
            ));
        }
        print::line(&format!("prices: {REGION}, on demand, no free tier"));
        if bill.usd() >= CENT {
            self.print_largest();
        }
    }

    /// What most of it is, and what would save most.
    fn print_largest(&self) {
        let Self { bill, saving, .. } = self;
        let largest = bill.services.iter().max_by(|one, other| one.usd.total_cmp(&other.usd));
        if let Some(ServiceSum { service, usd, .. }) = largest {
            print::line(&format!("largest: {service}, ${} of ${}", dollars(*usd), dollars(bill.usd())));
        }
        match saving.filter(|saving| saving.usd >= CENT) {
            Some(Saving { change: Change::Summary, usd }) => {
                print::line(&format!("saves most: --arrival summary, ${}", dollars(usd)));
            }
            Some(Saving { change: Change::NoIdleHours, usd }) => {
                print::line(&format!("saves most: fewer worker hours (MinTasks=0 on ECS), up to ${}", dollars(usd)));
            }
            None => {}
        }
    }

    fn print_findings(&self) {
        let Self { workload, bill, .. } = self;
        let (findings, messages) = (counted(workload.findings, "finding"), counted(workload.messages(), "message"));
        print::line(&format!("{findings} in {messages}, {} to a receive", workload.batch_fill));
        match workload.actions.as_slice() {
            [] => print::line("for each finding: recorded only"),
            actions => {
                let actions: Vec<_> = actions.iter().map(ToString::to_string).collect();
                print::line(&format!("for each finding: {}", actions.join(", ")));
            }
        }
        let per_finding = |part| bill.requests_of(part) / workload.findings;
        print::line(&format!(
            "requests per finding: {:.2} to receive, record and delete, {:.2} to act",
            per_finding(Part::Work),
            per_finding(Part::Action),
        ));
    }

    fn print_time(&self) {
        let least = time(self.estimate.seconds);
        match self.estimate.limit {
            Limit::Cpu => print::line(&format!("about {least} on the CPU of one small task (0.25 vCPU)")),
            Limit::Quota(operation) => {
                print::line(&format!("at least {least}: AWS's default quota of {operation}, a fifth reserved"));
            }
        }
        let [alone, now] = [self.one_by_one.as_ref().unwrap_or(&self.bill), &self.bill].map(|bill| dollars(bill.usd()));
        if alone != now {
            print::line(&format!(
                "at that quota findings end one by one: expect ${alone}, not ${now} (--batch-fill 1)"
            ));
        }
    }

    /// All that it costs is for findings: a million of them cost in proportion.
    fn grows_with_findings(&self) -> bool {
        self.workload.findings > 0.0 && self.estimate.idle_hours <= 0.0
    }

    /// Dollars for a million findings, of dollars for all; `None` where idle hours are in them.
    pub fn per_million(&self, usd: f64) -> Option<f64> {
        self.grows_with_findings().then(|| usd / self.workload.findings * 1e6)
    }
}

/// Prints the table with these columns of numbers, which are never broken.
fn finish(mut table: Table, numbers: impl IntoIterator<Item = usize> + Clone) {
    print::right(&mut table, numbers.clone());
    for column in numbers {
        print::whole(&mut table, column);
    }
    print::line(&table.to_string());
}

/// So many of them: `1 finding`, `1,000 findings`.
fn counted(number: f64, noun: &str) -> String {
    let number = whole(number);
    if number == "1" { format!("1 {noun}") } else { format!("{number} {noun}s") }
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
