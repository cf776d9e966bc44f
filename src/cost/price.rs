//! What AWS asks, with where that is from and of which year. On demand, without free tiers.

use std::fmt;
use std::str::FromStr;

/// The region of all prices.
pub const REGION: &str = "us-east-1";

/// A price, and what it is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// What is charged.
    pub charge: Charge,
    /// Its name for `--price`.
    pub key: &'static str,
    /// US dollars for `per_units` of it.
    pub usd: f64,
    /// How many units the dollars are for: a million, or one.
    pub per_units: f64,
    /// What is counted: `requests (64 KB)`, where a larger one counts as several.
    pub unit: &'static str,
    /// Who says so, and when. One that no primary source confirms says UNCONFIRMED.
    pub source: &'static str,
}

macro_rules! prices {
    ($($charge:ident $doc:literal $key:literal $usd:literal $units:literal $unit:literal $source:literal;)+) => {
        /// What is charged for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Charge {
            $(#[doc = $doc] $charge,)+
        }

        /// Every price.
        pub static PRICES: &[Price] = &[$(
            Price { charge: Charge::$charge, key: $key, usd: $usd, per_units: $units, unit: $unit, source: $source },
        )+];

        impl Charge {
            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

prices! {
    SnsPublish "A publication to a standard topic."
        "sns-publish" 0.50 1e6 "messages (64 KB)"
        "AWS price list 2026-10; factualminds.com 2026";
    SqsRequest "A request to a standard queue."
        "sqs-request" 0.40 1e6 "requests (64 KB)"
        "AWS price list 2026-10; factualminds.com 2026-06";
    DynamodbWrite "A write unit of a table on demand."
        "dynamodb-write" 0.625 1e6 "write units (1 KB)"
        "AWS price list 2026-10";
    DynamodbRead "A consistent read unit of a table on demand."
        "dynamodb-read" 0.125 1e6 "reads (4 KB)"
        "AWS price list 2026-10";
    DynamodbStorage "What a table holds."
        "dynamodb-storage" 0.25 1.0 "GB-month"
        "AWS price list 2026-10";
    DynamodbBackup "Point-in-time recovery of what a table holds."
        "dynamodb-backup" 0.20 1.0 "GB-month"
        "UNCONFIRMED";
    IotRegistry "A call of the registry of things."
        "iot-registry" 1.25 1e6 "calls"
        "public pricing notes 2025-01, UNCONFIRMED";
    IotCall "A call of AWS IoT that is no registry operation, or of Device Defender."
        "iot-call" 0.0 1e6 "calls"
        "not among AWS's metered operations; UNCONFIRMED";
    FargateVcpu "A virtual CPU of an Arm task."
        "fargate-vcpu" 0.03238 1.0 "vCPU-hour"
        "vantage.sh, fortem.dev 2026";
    FargateMemory "Memory of an Arm task."
        "fargate-memory" 0.00356 1.0 "GB-hour"
        "vantage.sh, fortem.dev 2026";
}

/// The prices in force: the table's, unless `--price` says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices(Vec<Price>);

impl Default for Prices {
    fn default() -> Self {
        Self(PRICES.to_vec())
    }
}

impl Price {
    /// What the dollars are for, in words: `million requests (64 KB)`, `GB-month`.
    pub fn per(&self) -> String {
        if self.per_units > 1.0 { format!("million {}", self.unit) } else { self.unit.to_owned() }
    }
}

/// The source of a price that somebody gave.
const FROM_OPTION: &str = "from --price";

/// A price that differs from the table's: `sqs-request=0.45`, US dollars for as many units as in the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OtherPrice {
    charge: Charge,
    usd: f64,
}

/// The highest price that is believed, US dollars: one above it is a slip.
const HIGHEST: f64 = 1e6;

impl FromStr for OtherPrice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, usd) = text.split_once('=').ok_or("write KEY=USD, such as sqs-request=0.45")?;
        let known = PRICES.iter().find(|price| price.key == key).ok_or_else(|| {
            let keys: Vec<_> = PRICES.iter().map(|price| price.key).collect();
            format!("`{key}` is no price; write one of {}", keys.join(", "))
        })?;
        let usd: f64 = usd.parse().unwrap_or(f64::NAN);
        if !(0.0..=HIGHEST).contains(&usd) {
            return Err(format!("write US dollars for a {} after {key}=, from 0 to {HIGHEST}", known.per()));
        }
        Ok(Self { charge: known.charge, usd })
    }
}

impl Prices {
    /// The table's, with these in place of its own.
    pub fn with(others: &[OtherPrice]) -> Self {
        let mut prices = Self::default();
        for other in others {
            if let Some(price) = prices.0.get_mut(other.charge.index()) {
                (price.usd, price.source) = (other.usd, FROM_OPTION);
            }
        }
        prices
    }

    /// The price of it.
    pub fn of(&self, charge: Charge) -> &Price {
        // One for each charge, in the order of the charges: both are made from the same list.
        &self.0[charge.index()]
    }

    /// US dollars for so many units.
    pub fn usd(&self, charge: Charge, units: f64) -> f64 {
        let price = self.of(charge);
        units / price.per_units * price.usd
    }
}

impl fmt::Display for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(PRICES.get(self.index()).map_or("", |price| price.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_price_is_found_by_its_charge_and_says_where_it_is_from_and_of_which_year() {
        for price in PRICES {
            assert_eq!(Prices::default().of(price.charge).key, price.key);
            assert!(price.source.contains("202") || price.source.contains("UNCONFIRMED"), "{}", price.key);
            assert!(price.usd >= 0.0 && [1.0, 1e6].contains(&price.per_units), "{}", price.key);
        }
    }

    #[test]
    fn a_price_that_differs_takes_the_place_of_the_tables() {
        let prices = Prices::with(&["sqs-request=0.48".parse().unwrap()]);
        assert!((prices.usd(Charge::SqsRequest, 2e6) - 0.96).abs() < 1e-12);
        assert!((prices.usd(Charge::SnsPublish, 2e6) - 1.0).abs() < 1e-12);
        assert_eq!(prices.of(Charge::SqsRequest).source, "from --price");
        for (wrong, sentence) in [
            ("sqs-request", "KEY=USD"),
            ("sqs=1", "is no price; write one of sns-publish, sqs-request"),
            ("sqs-request=", "write US dollars for a million requests"),
            ("sqs-request=-1", "write US dollars"),
            ("sqs-request=nan", "write US dollars"),
        ] {
            let error = wrong.parse::<OtherPrice>().unwrap_err();
            assert!(error.contains(sentence), "{wrong}: {error}");
        }
    }
}
