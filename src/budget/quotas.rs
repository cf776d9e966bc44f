//! Which quota is in force where several places name one.

use super::operation::Operation;
use std::collections::BTreeMap;
use std::fmt;

/// Where a quota comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaSource {
    /// `--quota`.
    CommandLine,
    /// The policy file.
    Policy,
    /// The Service Quotas API.
    ServiceQuotas,
}

impl fmt::Display for QuotaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CommandLine => "--quota",
            Self::Policy => "the policy",
            Self::ServiceQuotas => "Service Quotas",
        })
    }
}

/// The quotas (calls per second) that each place names. What nobody names is AWS's default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QuotaSources {
    /// On the command line: wins over everything.
    pub command_line: BTreeMap<Operation, f64>,
    /// In the policy file: wins over what AWS tells.
    pub policy: BTreeMap<Operation, f64>,
    /// Told by the Service Quotas API: wins over the defaults.
    pub service_quotas: BTreeMap<Operation, f64>,
}

impl QuotaSources {
    /// The quota in force of every operation that some place names, and that place.
    pub fn in_force(&self) -> BTreeMap<Operation, (f64, QuotaSource)> {
        // The strongest last: it overwrites.
        let weakest_first = [
            (&self.service_quotas, QuotaSource::ServiceQuotas),
            (&self.policy, QuotaSource::Policy),
            (&self.command_line, QuotaSource::CommandLine),
        ];
        let named = weakest_first
            .into_iter()
            .flat_map(|(quotas, source)| quotas.iter().map(move |(&operation, &quota)| (operation, (quota, source))));
        named.collect()
    }

    /// Of those in force, the ones that are not AWS's default.
    pub fn differing(&self) -> impl Iterator<Item = (Operation, f64, QuotaSource)> {
        let named = self.in_force().into_iter().map(|(operation, (quota, source))| (operation, quota, source));
        // Compared exactly: both are figures as somebody wrote them.
        named.filter(|(operation, quota, _)| *quota != operation.default_quota())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Operation::{GetPolicy, ListAuditFindings, UpdateCertificate};

    #[test]
    fn the_command_line_wins_over_the_policy_and_the_policy_over_what_aws_tells() {
        let sources = QuotaSources {
            command_line: BTreeMap::from([(UpdateCertificate, 40.0)]),
            policy: BTreeMap::from([(UpdateCertificate, 30.0), (GetPolicy, 30.0)]),
            service_quotas: BTreeMap::from([(UpdateCertificate, 20.0), (GetPolicy, 20.0), (ListAuditFindings, 20.0)]),
        };
        let expected = BTreeMap::from([
            (UpdateCertificate, (40.0, QuotaSource::CommandLine)),
            (GetPolicy, (30.0, QuotaSource::Policy)),
            (ListAuditFindings, (20.0, QuotaSource::ServiceQuotas)),
        ]);
        assert_eq!(sources.in_force(), expected);
    }

    #[test]
    fn only_quotas_other_than_aws_default_differ() {
        let service_quotas = BTreeMap::from([(UpdateCertificate, 10.0), (GetPolicy, 11.0)]);
        let sources = QuotaSources { service_quotas, ..QuotaSources::default() };
        let differing: Vec<_> = sources.differing().collect();
        assert_eq!(differing, [(GetPolicy, 11.0, QuotaSource::ServiceQuotas)]);
    }
}
